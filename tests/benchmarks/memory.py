"""Resident memory of the child after the first answer, over what llama.cpp states for weights, KV cache and buffers.

    python -m tests.benchmarks.memory [--shape 1b]

What llama.cpp states is read from its own log in the same process (the buffers it really made), and stands beside
Bantam's own prediction. The peer is llama-completion with the same file and context.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks import pairs, peers
from tests.benchmarks.engine import Child, user
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape

_BUFFER = re.compile(r"^\S*: *(\S+) +(model|KV|compute|output) +buffer size = +([\d.]+) MiB", re.MULTILINE)
_CONTEXT = 4096
_MB = 1e6


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    figures = [*_ours(model), _theirs(model)]
    return pairs.show(figures, before, options.json)


def _ours(model: Path) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home, Child(Path(home), BANTAM_NATIVE_LOG="1") as child:
        without_model = child.resident_bytes()
        loaded = child.load(model, _CONTEXT)
        child.answer("first", (user("What is a bantam?"),), 32)
        resident = child.resident_bytes()
        stated = _stated_bytes(child.log())
    parts = ", ".join(f"{kind} {size / _MB:.0f}" for kind, size in stated.items())
    total = sum(stated.values())
    return [
        Figure("child before the load", (without_model / _MB,), "MB"),
        Figure("child after the first answer", (resident / _MB,), "MB"),
        Figure("llama.cpp states", (total / _MB,), "MB", note=parts),
        Figure("Bantam predicted", (loaded.need.total_bytes / _MB,), "MB", note=str(loaded.need)),
        Figure("resident ÷ stated", (resident / total,), goal=Goal(1.05)),
        Figure("resident ÷ predicted", (resident / loaded.need.total_bytes,), goal=Goal(1.05)),
    ]


def _stated_bytes(log: str) -> dict[str, float]:
    """Sizes of the buffers of the last context in the log, by kind. A header-only load before it states its own."""
    start = log.rfind("llama_model_loader: loaded meta data")
    sizes: dict[str, float] = {}
    for _device, kind, mebibytes in _BUFFER.findall(log[start:]):
        sizes[kind] = sizes.get(kind, 0.0) + float(mebibytes) * 1024 * 1024
    return sizes


def _theirs(model: Path) -> Figure:
    arguments = ("-c", str(_CONTEXT), "-n", "32", "-p", "What is a bantam?", "-no-cnv", "-t", "1")
    command = [peers.tool("llama-completion"), "-m", model, *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    # In kB on Linux, the largest of the processes waited for: the child's peak lies below it or is named above.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1024 if os.uname().sysname == "Linux" else 1)
    return Figure("llama-completion at its defaults, peak", (peak / _MB,), "MB", note="the same file and context")


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--shape", default="1b")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
