"""Speed of the bundle's engine, whose kernels are chosen at run time, against the build for this processor.

    python -m tests.benchmarks.bundle_speed [--program FILE] [--shape 0.3b] [--pairs 6]

Both run `bantam bench` on the same file with one thread on the same core, in turns: the bundle as it is installed, and
this Python's llama.cpp, which the set-up has compiled with -march=native.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import pairs
from tests.benchmarks.engine import ROOT
from tests.benchmarks.pairs import Figure, Goal, ratios, watched
from tests.benchmarks.shapes import SHAPES, model_of_shape

PROGRAM = ROOT / "build" / "bundle" / "frozen" / "bantam" / "bantam"
_SLOWER = 1.05
"""At most this much more time a token."""


@dataclass(frozen=True)
class Speed:
    decode: float
    """tokens/s"""
    prefill: float
    load_ms: float


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home:
        turns = pairs.in_turns(
            options.pairs,
            lambda: watched(lambda: _bench([str(options.program)], model, home, options)),
            lambda: watched(lambda: _bench([sys.executable, "-m", "app"], model, home, options)),
        )
    ours, theirs = turns.ours, turns.theirs
    slower = tuple(1 / ratio for ratio in ratios([s.decode for s in ours], [s.decode for s in theirs]))
    slower_prefill = tuple(1 / ratio for ratio in ratios([s.prefill for s in ours], [s.prefill for s in theirs]))
    figures = [
        Figure("decode, bundle", tuple(s.decode for s in ours), "tokens/s", note=turns.note),
        Figure("decode, build for this processor", tuple(s.decode for s in theirs), "tokens/s"),
        Figure("time a token, bundle / native", slower, goal=Goal(_SLOWER)),
        Figure("prefill, bundle", tuple(s.prefill for s in ours), "tokens/s"),
        Figure("prefill, build for this processor", tuple(s.prefill for s in theirs), "tokens/s"),
        Figure("time a prompt, bundle / native", slower_prefill, goal=Goal(_SLOWER)),
        Figure("load, bundle", tuple(s.load_ms for s in ours), "ms"),
        Figure("load, build for this processor", tuple(s.load_ms for s in theirs), "ms"),
    ]
    return pairs.show(figures, before, options.json)


def _bench(command: Sequence[str], model: Path, home: str, options: argparse.Namespace) -> Speed:
    """One run on the core `options.core`, in a process of its own."""
    more = ["bench", str(model), "--json", "--threads", "1", "--prompt-tokens", "128", "--repetitions", "1"]
    environment = {**os.environ, "BANTAM_HOME": home, "OMP_NUM_THREADS": "1"}
    pinned = ["taskset", "-c", str(options.core), *command, *more, "--new-tokens", str(options.tokens)]
    done = subprocess.run(pinned, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    said = json.loads(done.stdout)
    return Speed(said["decode_tokens_per_second"], said["prefill_tokens_per_second"], said["load_ms"])


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=6)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--shape", default="0.3b", choices=SHAPES)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--core", type=int, default=1, help="that both are pinned to")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
