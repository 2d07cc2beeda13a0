"""What 50,000 token events from a child cost the window: time, and the longest gap in its event loop.

    python -m tests.benchmarks.event_flood [--json]

Beside our slices, the same flood delivered without them, as a plain reader would. Times are ms; `own_cpu` leaves out
what other programs took of the processor meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QTimer

from app.engine.messages import Generate, Message, Role
from workers import process
from workers.process import ChildProcess
from workers.protocol import Line

EVENTS = 50_000
CHILD = (sys.executable, str(Path(__file__).parents[1] / "workers" / "misbehaving_child.py"))


def flood(application: QCoreApplication, slice_ms: float) -> dict[str, float]:
    """Receive the flood; gaps are the times between two turns of the event loop."""
    process.SLICE_MS = slice_ms
    child, turns, received = ChildProcess(), [], []
    child.line_received.connect(lambda line: received.append(time.perf_counter()))
    child.ended.connect(application.quit)
    ticker = QTimer()
    ticker.timeout.connect(lambda: turns.append((time.perf_counter(), time.thread_time())))
    ticker.start(0)
    child.start(CHILD)
    child.send(Line(1, Generate("", (Message(Role.USER, f"flood {EVENTS}+exit 0"),))))
    application.exec()
    ticker.stop()
    during = [turn for turn in turns if received[0] <= turn[0] <= received[-1]]
    wall, own = (sorted((b[i] - a[i]) * 1000 for a, b in itertools.pairwise(during)) for i in (0, 1))
    return {
        "events": len(received),
        "total_ms": round((received[-1] - received[0]) * 1000, 1),
        "gap_p99_ms": round(wall[len(wall) * 99 // 100], 2),
        "gap_max_ms": round(wall[-1], 2),
        "own_cpu_gap_max_ms": round(own[-1], 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    application = QCoreApplication([])
    figures = {"slices of 4 ms": flood(application, 4.0), "without slices": flood(application, float("inf"))}
    if as_json:
        print(json.dumps(figures))
        return 0
    for name, values in figures.items():
        print(f"{name:16} " + "  ".join(f"{key} {value}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
