"""What a short training wins back of what a cut lost, on the starter model (21M): by method, by loss, by cut.

    python -m tests.benchmarks.recover [--tokens 16384] [--case "FFN -25 %"] [--json]

Cuts are made by Bantam's own pruning, the FFN without the refit that would mend most of it already. Training text is
tests/data/calibration.txt. Losses are told on tests/data/eval-code.txt and eval-chat.txt, which nothing was trained on
or chosen by. Each training is a process of its own, so that its peak memory can be held beside what was predicted.
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

from app.pruning import Prune, PruneMethod, Recover, RecoverMethod
from tests.real_models import CALIBRATION, EVAL_CHAT, EVAL_CODE, starter_folder

_WINDOWS = 8
CASES = {
    "FFN -25 %": (PruneMethod.FFN, 0.25),
    "1 of 6 layers": (PruneMethod.LAYERS, 1 / 6),
    "FFN -50 %": (PruneMethod.FFN, 0.5),
}
WAYS: dict[str, dict[str, Any]] = {
    "LoRA, KL": {},
    "all weights, KL": {"method": RecoverMethod.FULL},
    "LoRA, cross-entropy": {"hard_loss": 1.0},
}
_OURS = """
import json, pickle, sys
from app.compress.recover.loading import plan_memory
from app.compress.recover.recover import recover
from app.errors import RecoverError
request = pickle.loads(bytes.fromhex(sys.argv[1]))
predicted = plan_memory(request).peak_bytes
try:
    result = recover(request, lambda event: None, lambda: False)
    found = {"seconds": result.seconds, "peak": result.peak_resident_bytes, "predicted": predicted}
except RecoverError as error:
    found = {"refused": error.sentence}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Row:
    """Nats of log-perplexity lost by the cut, before and after; KL to the original; time, memory."""

    case: str
    way: str
    lost_before: float
    lost_after: float
    kl_before: float
    kl_after: float
    seconds: float
    peak_bytes: int
    predicted_bytes: int

    @property
    def won_back(self) -> float:
        """Share of the lost log-perplexity."""
        return 1 - self.lost_after / self.lost_before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--learning-rate", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        teacher = starter_folder(Path(name) / "starter")
        for case in options.case or CASES:
            cut = _cut(teacher, Path(name) / "cut", *CASES[case])
            before = _distance(cut, teacher)
            found = (_row(case, way, cut, teacher, before, options) for way in options.way or WAYS)
            rows += [row for row in found if row is not None]
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    return 0 if any(row.case == "FFN -25 %" and row.won_back >= 0.5 for row in rows) else 1


def _cut(source: Path, target: Path, method: PruneMethod, amount: float) -> Path:
    import shutil

    from app.compress.prune.prune import prune

    shutil.rmtree(target, ignore_errors=True)
    request = Prune(source, target, method, amount, refit=False, text=CALIBRATION, chunks=16, threads=1)
    return prune(request, lambda _event: None, lambda: False).path


def _row(
    case: str, way: str, cut: Path, teacher: Path, before: tuple[float, float], options: argparse.Namespace
) -> Row | None:
    import pickle
    import shutil

    output = cut.with_name("recovered")
    shutil.rmtree(output, ignore_errors=True)
    request = Recover(cut, teacher, output, budget_tokens=options.tokens, text=str(CALIBRATION), threads=1)
    request = dataclasses.replace(request, learning_rate=options.learning_rate, **WAYS[way])
    command = [sys.executable, "-c", _OURS, pickle.dumps(request).hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if "refused" in found:
        print(f"{case}, {way}: {found['refused']}", flush=True)
        return None
    lost, kl = _distance(output, teacher)
    row = Row(case, way, before[0], lost, before[1], kl, found["seconds"], found["peak"], found["predicted"])
    print(
        f"{case}, {way}: lost log-perplexity {row.lost_before:.3f} → {row.lost_after:.3f} ({row.won_back:.0%} won "
        f"back), KL {row.kl_before:.3f} → {row.kl_after:.3f}, {row.seconds / 60:.1f} min, "
        f"{row.peak_bytes / 1e6:.0f} MB (predicted {row.predicted_bytes / 1e6:.0f})",
        flush=True,
    )
    return row


def _distance(model: Path, teacher: Path) -> tuple[float, float]:
    """Log-perplexity lost, and KL, over both texts."""
    import torch
    from transformers import AutoTokenizer

    from app.compress.recover.held_out import measure
    from app.compress.recover.language_model import open_model

    tokenizer = AutoTokenizer.from_pretrained(teacher)
    windows = []
    for text in (EVAL_CODE, EVAL_CHAT):
        tokens = tokenizer(text.read_text(), add_special_tokens=False, verbose=False).input_ids
        windows.append(torch.tensor(tokens[: _WINDOWS * 256]).view(_WINDOWS, 256))
    found = measure(open_model(model), open_model(teacher), torch.cat(windows), lambda _event: None, lambda: False)
    return found.log_perplexity - found.teacher_log_perplexity, found.kl


if __name__ == "__main__":
    sys.exit(main())
