"""What a short training wins back of what a cut lost: by method, by loss, by cut; and whether its time and memory were
predicted.

    python -m tests.benchmarks.recover [--model 21m] [--tokens 60000] [--case "FFN -25 %"] [--way "LoRA, KL"] [--json]

Cuts are made by Bantam's own pruning, the FFN without the refit that would mend most of it already. Training text is
tests/data/calibration.txt. Losses are told on tests/data/eval-code.txt and eval-chat.txt, which nothing was trained on
or chosen by. The plan and the training are processes of their own, so that the peak memory is that of the training.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.operation import Context
from app.prune.messages import Prune, PruneMethod
from app.recover.messages import Recover, RecoverMethod
from tests.real_models import CALIBRATION, EVAL_CHAT, EVAL_CODE, STDLIB_3M, starter_folder

_WINDOWS = 8
CASES = {
    "FFN -25 %": (PruneMethod.FFN, 0.25),
    "1 of 6 layers": (PruneMethod.LAYERS, 1 / 6),
    "FFN -50 %": (PruneMethod.FFN, 0.5),
}
WAYS: dict[str, dict[str, Any]] = {
    "LoRA, KL": {},
    "all weights, KL": {"method": RecoverMethod.FULL},
    "all weights, KL, on the grid of Q4_0": {"method": RecoverMethod.FULL, "quantization_aware": "Q4_0"},
    "LoRA, cross-entropy": {"hard_loss": 1.0},
}
_PLAN = """
import json, pickle, sys
from app.recover.recover import plan_recovery
from app.recover.messages import PlanRecovery
request = pickle.loads(bytes.fromhex(sys.argv[1]))
planned = plan_recovery(PlanRecovery(request), lambda event: None, lambda: False)
print(json.dumps({"seconds": planned.seconds, "peak": planned.peak_resident_bytes}))
"""
_OURS = """
import json, pickle, sys, time
from app.recover.recover import recover
from app.errors import RecoverError
request = pickle.loads(bytes.fromhex(sys.argv[1]))
begun = time.monotonic()
try:
    result = recover(request, lambda event: None, lambda: False)
    found = {"seconds": time.monotonic() - begun, "peak": result.peak_resident_bytes}
except RecoverError as error:
    found = {"refused": error.sentence}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Row:
    """Nats of log-perplexity lost by the cut, before and after; KL to the original, and of a Q4_0 file of it; time,
    memory.
    """

    case: str
    way: str
    lost_before: float
    lost_after: float
    kl_before: float
    kl_after: float
    kl_as_q4_0: float
    seconds: float
    predicted_seconds: float
    peak_bytes: int
    predicted_bytes: int

    @property
    def won_back(self) -> float:
        """Share of the lost log-perplexity."""
        return 1 - self.lost_after / self.lost_before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("21m", "3m"), default="21m")
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--case", choices=CASES, action="append", help="default FFN -25 %%")
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--learning-rate", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        teacher = STDLIB_3M if options.model == "3m" else starter_folder(Path(name) / "starter")
        for case in options.case or ["FFN -25 %"]:
            cut = _cut(teacher, Path(name) / "cut", *CASES[case])
            before = _distance(cut, teacher)
            found = (_row(case, way, cut, teacher, before, options) for way in options.way or WAYS)
            rows += [row for row in found if row is not None]
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    return 0 if any(row.case == "FFN -25 %" and row.won_back >= 0.5 for row in rows) else 1


def _cut(source: Path, target: Path, method: PruneMethod, amount: float) -> Path:
    import shutil

    from app.prune.prune import prune

    shutil.rmtree(target, ignore_errors=True)
    request = Prune(source, target, method, amount, refit=False, width_multiple=64, text=CALIBRATION, threads=1)
    return prune(request, Context()).path


def _row(
    case: str, way: str, cut: Path, teacher: Path, before: tuple[float, float], options: argparse.Namespace
) -> Row | None:
    import pickle
    import shutil

    output = cut.with_name("recovered")
    shutil.rmtree(output, ignore_errors=True)
    request = Recover(cut, teacher, output, budget_tokens=options.tokens, text=str(CALIBRATION), threads=1)
    request = dataclasses.replace(request, learning_rate=options.learning_rate, **WAYS[way])
    planned, found = (_in_a_process(source, pickle.dumps(request).hex()) for source in (_PLAN, _OURS))
    if "refused" in found:
        print(f"{case}, {way}: {found['refused']}", flush=True)
        return None
    lost, kl = _distance(output, teacher)
    measured = (found["seconds"], planned["seconds"], found["peak"], planned["peak"])
    row = Row(case, way, before[0], lost, before[1], kl, _as_q4_0(output, teacher), *measured)
    print(
        f"{case}, {way}: lost log-perplexity {row.lost_before:.3f} → {row.lost_after:.3f} ({row.won_back:.0%} won "
        f"back), KL {row.kl_before:.3f} → {row.kl_after:.3f}, as Q4_0 {row.kl_as_q4_0:.3f}, {row.seconds:.0f} s "
        f"(predicted {row.predicted_seconds:.0f}), "
        f"{row.peak_bytes / 1e6:.0f} MB (predicted {row.predicted_bytes / 1e6:.0f})",
        flush=True,
    )
    return row


def _in_a_process(source: str, request: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", source, request], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _as_q4_0(model: Path, teacher: Path) -> float:
    """KL of the Q4_0 file of `model`, not calibrated, to the original, on eval-code."""
    from app.convert.conversion import convert
    from app.convert.messages import Convert
    from app.measure.messages import MeasureQuality
    from app.measure.quality import measure_quality
    from app.quantize.messages import Quantize
    from app.quantize.quantize import quantize
    from app.system.paths import Paths

    with tempfile.TemporaryDirectory() as name:
        file, original = Path(name) / "q4_0.gguf", Path(name) / "original.gguf"
        quantize(Quantize(model, file, "Q4_0", threads=1), Context())
        convert(Convert(teacher, original, "f32"), Context())
        asked = MeasureQuality(file, original, EVAL_CODE, context_tokens=256, chunks=16, threads=1)
        found = measure_quality(asked, Context(paths=Paths(Path(name) / "home").ensure()))
    assert found.kl_mean is not None
    return found.kl_mean.value


def _distance(model: Path, teacher: Path) -> tuple[float, float]:
    """Log-perplexity lost, and KL, over both texts."""
    import torch
    from transformers import AutoTokenizer

    from app.recover.language_model import measure, open_model

    tokenizer = AutoTokenizer.from_pretrained(teacher)
    windows = []
    for text in (EVAL_CODE, EVAL_CHAT):
        tokens = tokenizer(text.read_text(), add_special_tokens=False, verbose=False).input_ids
        windows.append(torch.tensor(tokens[: _WINDOWS * 256]).view(_WINDOWS, 256))
    found = measure(open_model(model), open_model(teacher), torch.cat(windows), lambda _event: None, lambda: False)
    return found.log_perplexity - found.teacher_log_perplexity, found.kl


if __name__ == "__main__":
    sys.exit(main())
