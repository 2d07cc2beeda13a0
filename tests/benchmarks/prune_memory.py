"""Peak memory and time of pruning a model of 1B shape, against 3 blocks + activations + 500 MB.

    python -m tests.benchmarks.prune_memory [--methods sparsegpt wanda] [--layers 16] [--chunks 64]

Random weights in bf16, a process of its own for each method. Memory is reached in the second block, so that fewer
layers and windows show it too: windows count with what their activations take.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from app.pruning import SPARSE
from tests.benchmarks import pairs
from tests.benchmarks.convert import write_folder
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.processes import run_process
from tests.benchmarks.shapes import SHAPES, Shape
from tests.real_models import CALIBRATION

_OURS = """
import sys
from pathlib import Path
from app.compress.prune.prune import prune
from app.pruning import Prune, PruneMethod
source, output, text, method, chunks, threads = sys.argv[1:]
asked = Prune(Path(source), Path(output), PruneMethod(method), 0.5, text=Path(text), chunks=int(chunks),
              threads=int(threads))
prune(asked, lambda event: None, lambda: False)
"""
_TOKENS, _MB = 256, 1e6


def main() -> int:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--methods", nargs="+", default=["sparsegpt"], choices=sorted(SPARSE))
    parser.add_argument("--shape", default="1b", choices=SHAPES)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=64, help=f"windows of {_TOKENS} tokens (default 64)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    before = pairs.machine()
    shape = dataclasses.replace(SHAPES[options.shape], layers=options.layers)
    elements = block_elements(shape)
    activations = options.chunks * _TOKENS * shape.width * 4
    figures = []
    with tempfile.TemporaryDirectory() as name:
        model = write_folder(shape, Path(name) / "model")
        for method in options.methods:
            output = Path(name) / f"out-{method}"
            arguments = [model, output, CALIBRATION, method, options.chunks, options.threads]
            command = [sys.executable, "-c", _OURS, *map(str, arguments)]
            runs = [run_process(command, output / "config.json") for _ in range(1)]
            goal = 3 * elements * 4 + activations + 500e6
            strict = 3 * elements * 2 + activations + 500e6
            words = (
                f"activations {activations / _MB:.0f}; with blocks counted as stored, in bf16: {strict / _MB:.0f} MB"
            )
            peaks = tuple(peak / _MB for _, peak in runs)
            figures += [
                Figure(f"{method}: peak memory", peaks, "MB", Goal(goal / _MB), words),
                Figure(f"{method}: time", tuple(seconds for seconds, _ in runs), "s", note=f"{shape.layers} layers"),
            ]
    return pairs.show(figures, before, options.json)


def block_elements(shape: Shape) -> int:
    """Weights of one block."""
    kv = shape.kv_heads * shape.width // shape.heads
    return 2 * shape.width**2 + 2 * shape.width * kv + 3 * shape.width * shape.ffn + 2 * shape.width


if __name__ == "__main__":
    sys.exit(main())
