"""`bantam measure` beside llama-perplexity: the same figures from the same windows, and what each takes for them.

    python -m tests.benchmarks.quality [--shape 1b] [--pairs 3]

Without --shape the starter model, in Q4_K_M against its own Q8_0, over tests/data/eval-code.txt. With it a model of
that shape with random weights against its f16, over the beginning of the bundled text: its perplexity means nothing,
time and memory do.

llama-perplexity runs twice, as it must: once with the reference to write its logits, once with the model to compare.
Both programs get the same number of threads and the same text, which is cut so that it holds whole windows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.measure.texts import EVALUATION_TEXT
from app.system.paths import STARTER_MODEL
from tests.benchmarks import pairs, peers
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape
from tests.real_models import EVAL_CODE

_CONTEXT = 512
_LEAST_TOLD = 1e-4
"""llama-perplexity prints six decimals: of smaller divergences, as of random weights, too few digits are left."""
_THEIR_FIGURES = {
    "perplexity": r"Mean PPL\(Q\) +: +([\d.]+)",
    "reference_perplexity": r"Mean PPL\(base\) +: +([\d.]+)",
    "kl_mean": r"Mean +KLD: +([\d.]+)",
    "kl_99": r"99.0% +KLD: +([\d.]+)",
    "top_1": r"Same top p: +([\d.]+)",
}


@dataclass(frozen=True)
class Run:
    """What one of the two found, in how many seconds, with how much memory and disk."""

    figures: dict[str, float]
    seconds: float
    peak_bytes: int
    disk_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.peak_bytes / 1e6:.0f} MB"


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, reference, text = _subject(options.shape, folder)
        before = pairs.machine()
        turns = pairs.in_turns(
            options.pairs,
            lambda: pairs.watched(lambda: _ours(model, reference, text, folder, options.threads)),
            lambda: pairs.watched(lambda: _theirs(model, reference, text, folder, options.threads)),
        )
    return pairs.show(_figures(turns.ours, turns.theirs, turns.note), before, options.json)


def _figures(ours: tuple[Run, ...], theirs: tuple[Run, ...], note: str) -> list[Figure]:
    mine, other = ours[0].figures, theirs[0].figures
    tolerance = {"perplexity": 0.005, "reference_perplexity": 0.005, "kl_mean": 0.03, "kl_99": 0.05, "top_1": 0.01}
    figures = [
        Figure(
            f"{name}: ours ÷ theirs - 1",
            (abs(mine[name] / other[name] - 1),),
            goal=Goal(limit),
            note=_both(mine[name], other[name]),
        )
        for name, limit in tolerance.items()
        if other[name] >= _LEAST_TOLD
    ]
    figures.append(Figure("Bantam", tuple(run.seconds for run in ours), "s"))
    figures.append(Figure("llama-perplexity, both runs", tuple(run.seconds for run in theirs), "s"))
    ratio = pairs.ratios([run.seconds for run in ours], [run.seconds for run in theirs])
    figures.append(Figure("time, ours ÷ theirs", ratio, goal=Goal(1.1), note=note))
    figures.append(Figure("Bantam, peak memory", tuple(run.peak_bytes / 1e6 for run in ours), "MB"))
    figures.append(Figure("llama-perplexity, peak memory", tuple(run.peak_bytes / 1e6 for run in theirs), "MB"))
    figures.append(Figure("llama-perplexity, logits on disk", (theirs[0].disk_bytes / 1e6,), "MB", note="Bantam: none"))
    return figures


def _both(ours: float, theirs: float) -> str:
    return f"{ours:.6g} and {theirs:.6g}"


def _ours(model: Path, reference: Path, text: Path, folder: Path, threads: int) -> Run:
    arguments = ["--reference", reference, "--text", text, "--context", _CONTEXT, "--chunks", 1_000_000, "--json"]
    command = [sys.executable, "-m", "app", "measure", model, *arguments, "--threads", threads]
    output, seconds, peak = _run(command, BANTAM_HOME=str(folder / "home"))
    found = json.loads(output)
    values = {name: value["value"] if isinstance(value, dict) else value for name, value in found.items()}
    return Run({name: values[name] for name in _THEIR_FIGURES}, seconds, peak)


def _theirs(model: Path, reference: Path, text: Path, folder: Path, threads: int) -> Run:
    logits = folder / "logits"
    common = [peers.tool("llama-perplexity"), "-c", _CONTEXT, "-t", threads, "--kl-divergence-base", logits]
    _, first_s, first_peak = _run([*common, "-m", reference, "-f", text, "--no-escape"])
    figures: dict[str, float] = {}
    while len(figures) < len(_THEIR_FIGURES):  # now and then its log ends before its last lines: then it runs again
        output, second_s, second_peak = _run([*common, "-m", model, "--kl-divergence"])
        found = {name: re.search(pattern, output) for name, pattern in _THEIR_FIGURES.items()}
        figures = {name: float(match[1]) / (100 if name == "top_1" else 1) for name, match in found.items() if match}
    size = logits.stat().st_size
    logits.unlink()
    return Run(figures, first_s + second_s, max(first_peak, second_peak), size)


def _run(command: list[object], **environment: str) -> tuple[str, float, int]:
    """What it printed, its seconds and its (and its own child's) peak memory."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if child.returncode:
        raise SystemExit(f"failed with {child.returncode}: {command}\n{said[-2000:]}")
    lines = said if "llama" in str(command[0]) else said.splitlines()[-1]
    return lines, time.monotonic() - start, usage.ru_maxrss * 1024


def _subject(shape: str, folder: Path) -> tuple[Path, Path, Path]:
    """Model, reference and text."""
    text = folder / "text.txt"
    if shape:
        model, reference = model_of_shape(shape), folder / "f16.gguf"
        _quantize(model, reference, "F16")
        text.write_bytes(EVALUATION_TEXT.read_bytes()[:6_000].decode(errors="ignore").encode())
        return model, reference, text
    model = folder / "q4_k_m.gguf"
    _quantize(STARTER_MODEL, model, "Q4_K_M")
    text.write_bytes(EVAL_CODE.read_bytes())
    return model, STARTER_MODEL, text


def _quantize(source: Path, target: Path, kind: str) -> None:
    command = [peers.tool("llama-quantize"), "--allow-requantize", source, target, kind]
    subprocess.run(command, check=True, capture_output=True)


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument(
        "--shape", default="", help="a shape of tests/benchmarks/shapes.py instead of the starter model"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of both (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
