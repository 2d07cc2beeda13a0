"""Our quantizing beside llama-quantize of the same version: the same bytes, time and peak memory, on a 1B model.

    python -m tests.benchmarks.quantize [--pairs 3] [--shape 1b]

Ours is the whole job as a user has it: checks, quantizing, reading the header again, sha256, the row in the manifest.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.operation import Context
from app.system.hardware import usable_cores
from tests.benchmarks import pairs
from tests.benchmarks.convert import write_folder
from tests.benchmarks.pairs import Figure, Goal, watched
from tests.benchmarks.peers import tool
from tests.benchmarks.processes import run_process
from tests.benchmarks.shapes import SHAPES

_OURS = """
import sys
from pathlib import Path
from app.quantize.quantize import quantize
from app.quantize.messages import Quantize
source, output, type, threads = sys.argv[1:]
quantize(Quantize(Path(source), Path(output), type, threads=int(threads)), lambda event: None, lambda: False)
"""
TIMED = "Q4_K_M"
COMPARED = ("Q4_0", "Q5_K_M", "Q6_K", "Q8_0")


def main() -> int:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--shape", default="1b", choices=SHAPES)
    options = parser.parse_args()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.gguf"
        model = write_folder(SHAPES[options.shape], folder / "model")
        convert(Convert(model, source, "bf16"), Context())
        (model / "model.safetensors").unlink()
        ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
        turns = pairs.in_turns(
            options.pairs,
            lambda: watched(lambda: run_process(_own(source, ours, TIMED), ours)),
            lambda: watched(lambda: run_process(_peer(source, theirs, TIMED), theirs)),
        )
        both = list(zip(turns.ours, turns.theirs, strict=True))
        seconds = " against ".join(
            f"{statistics.median(run[0] for run in side):.1f}" for side in zip(*both, strict=True)
        )
        sizes = " against ".join(
            f"{statistics.median(run[1] for run in side) / 1e6:.0f}" for side in zip(*both, strict=True)
        )
        figures = [
            Figure("time, ours ÷ theirs", tuple(a[0] / b[0] for a, b in both), goal=Goal(1.05), note=f"{seconds} s"),
            Figure(
                "peak memory, ours ÷ theirs", tuple(a[1] / b[1] for a, b in both), goal=Goal(1.1), note=f"{sizes} MB"
            ),
            _differing(TIMED, ours, theirs),
        ]
        for kind in COMPARED:
            run_process(_own(source, ours, kind), ours)
            run_process(_peer(source, theirs, kind), theirs)
            figures.append(_differing(kind, ours, theirs))
    return pairs.show(figures, before, options.json)


def _own(source: Path, output: Path, kind: str) -> list[str]:
    return [sys.executable, "-c", _OURS, str(source), str(output), kind, str(usable_cores())]


def _peer(source: Path, output: Path, kind: str) -> list[str]:
    return [str(tool("llama-quantize")), str(source), str(output), kind, str(usable_cores())]


def _differing(kind: str, ours: Path, theirs: Path) -> Figure:
    """Bytes that differ, of the whole file; where its size differs, tensors that do."""
    mine, other = (np.memmap(path, np.uint8, "r") for path in (ours, theirs))
    if mine.size == other.size:
        step = 1 << 26
        count = sum(int((mine[i : i + step] != other[i : i + step]).sum()) for i in range(0, mine.size, step))
    else:
        tensors = [{t.name: t.data for t in gguf.GGUFReader(path).tensors} for path in (ours, theirs)]
        count = sum(not np.array_equal(data, tensors[1].get(name)) for name, data in tensors[0].items())
    return Figure(f"{kind}: bytes that differ", (float(count),), goal=Goal(0), note=f"of {mine.size:,}")


if __name__ == "__main__":
    sys.exit(main())
