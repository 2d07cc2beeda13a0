"""Our importance matrix beside llama-imatrix's: the same model, text, windows and threads.

    python -m tests.benchmarks.importance [--pairs 3] [--no-1b] [--kills 20]

On the starter model in bf16: how far the values are apart, and the KL divergence of the Q4_K_M that llama-quantize
makes with either, judged by llama-perplexity on another text. On a 1B shape: time and peak memory. Last, kills at
random moments. About 5 minutes.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import AppError
from app.operation import Context
from app.quantize.importance import read_importance
from app.system.hardware import usable_cores
from tests.benchmarks import pairs
from tests.benchmarks.pairs import Figure, Goal, watched
from tests.benchmarks.peers import tool
from tests.benchmarks.processes import run_process
from tests.benchmarks.shapes import model_of_shape
from tests.real_models import CALIBRATION, EVAL_CODE, starter_folder

_COLLECT = """
import sys
from pathlib import Path
from app.quantize.importance import collect_importance
from app.quantize.messages import CollectImportance
model, output, text, chunks, threads = sys.argv[1:]
request = CollectImportance(Path(model), Path(output), Path(text), 512, int(chunks), int(threads))
collect_importance(request, lambda event: None, lambda: False)
"""
_WINDOWS_1B = 4
_WHY_SMALLER = "; theirs repacks Q4_0, a copy of the weights beside the file's"


def main() -> int:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--no-1b", action="store_true")
    parser.add_argument("--kills", type=int, default=20, help="at so many random moments (default 20)")
    options = parser.parse_args()
    before = pairs.machine()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "starter.gguf"
        convert(Convert(starter_folder(folder / "source"), model, "bf16"), Context())
        figures += _times("21M bf16", model, 0, options.pairs, folder, Goal(1.05), Goal(1.5))
        figures += _values(folder / "ours.gguf", folder / "theirs.gguf")
        figures += _divergences(model, folder)
        if options.kills:
            start = time.monotonic()
            command = [sys.executable, "-c", _COLLECT, str(model), str(folder / "8.gguf"), str(CALIBRATION), "8", "1"]
            subprocess.run(command, check=True)
            figures.append(_kills(model, folder, options.kills, 1.1 * (time.monotonic() - start)))
        if not options.no_1b:
            shape = model_of_shape("1b")
            figures += _times("1B Q4_0", shape, _WINDOWS_1B, options.pairs, folder, Goal(1.05), Goal(1.1), _WHY_SMALLER)
    return pairs.show(figures, before, options.json)


def _times(
    name: str, model: Path, chunks: int, count: int, folder: Path, time_goal: Goal, memory_goal: Goal, note: str = ""
) -> list[Figure]:
    """Both in turns, whole processes."""
    threads = str(usable_cores())
    ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
    limit = ["--chunks", str(chunks)] if chunks else []
    peer = [str(tool("llama-imatrix")), "-m", str(model), "-f", str(CALIBRATION), "-o", str(theirs), "-t", threads]
    peer += ["-c", "512", "-b", "512", "--no-ppl", "--parse-special", *limit]
    own = [sys.executable, "-c", _COLLECT, str(model), str(ours), str(CALIBRATION), str(chunks), threads]
    turns = pairs.in_turns(
        count, lambda: watched(lambda: run_process(own, ours)), lambda: watched(lambda: run_process(peer, theirs))
    )
    both = list(zip(turns.ours, turns.theirs, strict=True))
    times = tuple(mine[0] / other[0] for mine, other in both)
    peaks = tuple(mine[1] / other[1] for mine, other in both)
    spoken = f"{np.median([mine[0] for mine, _ in both]):.1f} against {np.median([o[0] for _, o in both]):.1f} s"
    sizes = f"{np.median([mine[1] for mine, _ in both]) / 1e6:.0f} against "
    sizes += f"{np.median([other[1] for _, other in both]) / 1e6:.0f} MB"
    return [
        Figure(f"{name}: time, ours ÷ llama-imatrix", times, goal=time_goal, note=f"{spoken}; {turns.note}"),
        Figure(f"{name}: peak memory, ours ÷ llama-imatrix", peaks, goal=memory_goal, note=sizes + note),
    ]


def _kills(model: Path, folder: Path, count: int, whole_s: float) -> Figure:
    """How often a killed process left something under the final name that is no whole matrix."""
    output, random = folder / "killed.gguf", np.random.default_rng(1)
    broken = finished = 0
    for _ in range(count):
        output.unlink(missing_ok=True)
        command = [sys.executable, "-c", _COLLECT, str(model), str(output), str(CALIBRATION), "8", "1"]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(random.uniform(0, whole_s))
        child.kill()
        child.wait()
        if output.exists():
            finished += 1
            with contextlib.suppress(AppError):
                read_importance(output)
                continue
            broken += 1
    return Figure(
        "broken after a kill", (float(broken),), goal=Goal(0), note=f"{count} kills, {finished} came too late"
    )


def _values(ours: Path, theirs: Path) -> list[Figure]:
    mine, other = read_importance(ours), read_importance(theirs)
    if mine.keys() != other.keys():
        raise SystemExit(f"different matrices: {mine.keys() ^ other.keys()}")
    errors = tuple(float(np.abs(mine[name] - other[name]).sum() / other[name].sum()) for name in mine)
    return [
        Figure("relative error of a matrix, mean", (float(np.mean(errors)),), goal=Goal(0.01)),
        Figure("relative error of a matrix, worst", (max(errors),), goal=Goal(0.02)),
    ]


def _divergences(model: Path, folder: Path) -> list[Figure]:
    """KL x 1000 of Q4_K_M to the source, with either matrix and with none."""
    base = folder / "logits.bin"
    _call("llama-perplexity", "-m", model, "-f", EVAL_CODE, "-c", "512", "--kl-divergence-base", base)
    found = {}
    for name in ("ours", "theirs", "none"):
        output = folder / f"{name}-Q4_K_M.gguf"
        matrix = [] if name == "none" else ["--imatrix", folder / f"{name}.gguf"]
        _call("llama-quantize", *matrix, model, output, "Q4_K_M")
        said = _call("llama-perplexity", "-m", output, "--kl-divergence-base", base, "--kl-divergence", "-c", "512")
        match = re.search(r"Mean\s+KLD:\s*([\d.]+)\s*±\s*([\d.]+)", said)
        if match is None:
            raise SystemExit(f"llama-perplexity said no divergence:\n{said[-2000:]}")
        found[name] = float(match[1]) * 1000, float(match[2]) * 1000
    noise = float(np.hypot(found["ours"][1], found["theirs"][1]))
    apart = abs(found["ours"][0] - found["theirs"][0]) / noise
    notes = {name: f"± {error:.2g}" for name, (_, error) in found.items()}
    return [
        *(Figure(f"KL x 1000 of Q4_K_M, matrix: {name}", (found[name][0],), note=notes[name]) for name in found),
        Figure("ours and theirs apart, in standard errors", (apart,), goal=Goal(2)),
        Figure("KL with our matrix ÷ with none", (found["ours"][0] / found["none"][0],), goal=Goal(1)),
    ]


def _call(name: str, *arguments: str | Path) -> str:
    command = [tool(name), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    raise SystemExit(main())
