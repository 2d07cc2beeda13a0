"""From the start of the process to a window that answers, and its memory, beside a bare PySide6 window.

    python -m tests.benchmarks.startup [--pairs 7]

Usable: shown, painted, and back in the event loop. The memory is the window process's alone, then and some seconds
later, when the starter model is loaded in the child. Offscreen unless QT_QPA_PLATFORM says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from tests.benchmarks import pairs
from tests.benchmarks.engine import ROOT
from tests.benchmarks.pairs import Figure, Goal, watched


@dataclass(frozen=True)
class Start:
    usable_s: float
    cpu_s: float
    resident_mb: float
    later_mb: float
    heavy_modules: tuple[str, ...]


def main() -> int:
    options = _options()
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home:
        _start("bantam", home)  # compiles the bytecode, makes the data folder
        turns = pairs.in_turns(
            options.pairs,
            lambda: watched(lambda: _start("bantam", home)),
            lambda: watched(lambda: _start("bare", home)),
        )
    ours, theirs = turns.ours, turns.theirs
    heavy = sorted({name for start in ours for name in start.heavy_modules})
    figures = [
        Figure("start to usable window", tuple(s.usable_s for s in ours), "s", Goal(1.0), turns.note),
        Figure("  a bare PySide6 window", tuple(s.usable_s for s in theirs), "s"),
        Figure("CPU time until then", tuple(s.cpu_s for s in ours), "s", note="tells what a busy machine hides"),
        Figure("  a bare PySide6 window", tuple(s.cpu_s for s in theirs), "s"),
        Figure("resident then", tuple(s.resident_mb for s in ours), "MB", Goal(150)),
        Figure("  a bare PySide6 window", tuple(s.resident_mb for s in theirs), "MB"),
        Figure("resident later, starter model loaded", tuple(s.later_mb for s in ours), "MB", Goal(150)),
        Figure("heavy modules imported", (float(len(heavy)),), goal=Goal(0), note=", ".join(heavy)),
    ]
    return pairs.show(figures, before, options.json)


def _start(what: str, home: str) -> Start:
    environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ, "BANTAM_HOME": home}
    command = [sys.executable, "-m", "tests.benchmarks.startup_probe", what]
    start = time.time()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    first, later = map(json.loads, done.stdout.splitlines())
    return Start(
        first["time"] - start,
        first["cpu_s"],
        first["resident_bytes"] / 1e6,
        later["resident_bytes"] / 1e6,
        (*first["heavy_modules"], *later["heavy_modules"]),
    )


def _options() -> argparse.Namespace:
    return pairs.parser(__doc__, pairs=7).parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
