"""How soon the child's CPU is free after the click on stop: while it loads, reads the prompt, and writes.

    python -m tests.benchmarks.stopping [--shape 1b] [--pairs 3]

Through the window's own ChatEngine. "Busy until" is when the child used CPU for the last time; the goal is on its share
of one core in the half second that begins one second after the click.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

from app.engine.messages import Generate, LoadModel, Sampling
from app.operation import Progress, Stage
from app.system.paths import Paths
from tests.benchmarks import pairs
from tests.benchmarks.engine import user, words
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape
from workers.engine.client import ChatEngine, EngineState

_SAMPLE_MS = 10
_BEFORE_S = 0.15
_WATCHED_S = 1.6


@dataclass(frozen=True)
class Stopped:
    percent_before: float
    busy_until_ms: float
    percent_after_1_s: float


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    application = QCoreApplication([])
    with tempfile.TemporaryDirectory() as home:
        bench = StopBench(Paths(Path(home)).ensure(), model)
        results = {
            phase: [run() for _ in range(options.pairs)]
            for phase, run in (("load", bench.load), ("prefill", bench.prefill), ("decode", bench.decode))
        }
        bench.engine.close()
    application.processEvents()
    figures = []
    for phase, stops in results.items():
        before_click = tuple(s.percent_before for s in stops)
        figures.append(Figure(f"{phase}: CPU before the click", before_click, "% of a core"))
        figures.append(Figure(f"{phase}: busy until", tuple(s.busy_until_ms for s in stops), "ms", Goal(1000)))
        percent = tuple(s.percent_after_1_s for s in stops)
        figures.append(Figure(f"{phase}: CPU 1 s after the click", percent, "% of a core", Goal(5)))
    return pairs.show(figures, before, options.json)


class StopBench:
    """One engine, stopped again and again."""

    def __init__(self, paths: Paths, model: Path) -> None:
        self.engine = ChatEngine(paths)
        self._request = LoadModel(model, load_anyway=True)
        self._number = 0

    def load(self) -> Stopped:
        self.engine.load(self._request)
        self._until(self._progressed(Stage.LOAD, 10))
        return self._stop()

    def prefill(self) -> Stopped:
        self._be_ready()
        self._ask(words(1000, self._number))
        self._until(self._progressed(Stage.PREFILL, 0))
        _spend(0.5)
        return self._stop()

    def decode(self) -> Stopped:
        self._be_ready()
        self._ask("Go on.")
        tokens: list[object] = []
        self.engine.token.connect(tokens.append)
        self._until(lambda: len(tokens) >= 10)
        self.engine.token.disconnect(tokens.append)
        return self._stop()

    def _ask(self, text: str) -> None:
        self._number += 1
        self.engine.generate(Generate(f"c{self._number}", (user(text),), Sampling(temperature=0, max_tokens=2000)))

    def _be_ready(self) -> None:
        if self.engine.state in (EngineState.EMPTY, EngineState.CRASHED):
            self.engine.load(self._request)
        self._until(lambda: self.engine.state is EngineState.READY)

    def _stop(self) -> Stopped:
        pid = self.engine.child_pid
        assert pid is not None
        cpu_s = CpuClock(pid)
        start, used = time.perf_counter(), cpu_s()
        _spend(_BEFORE_S)
        before = 100 * (cpu_s() - used) / (time.perf_counter() - start)
        click = time.perf_counter()
        self.engine.stop()
        readings: list[tuple[float, float]] = []
        while time.perf_counter() - click < _WATCHED_S:
            readings.append((time.perf_counter() - click, cpu_s()))
            _spend(_SAMPLE_MS / 1000)
        self._until(lambda: self.engine.state in (EngineState.READY, EngineState.EMPTY))
        return _judge(before, readings)

    def _progressed(self, stage: Stage, least: int) -> Callable[[], bool]:
        seen: list[int] = []

        def note(progress: Progress) -> None:
            if progress.stage is stage:
                seen.append(progress.done)

        self.engine.progress.connect(note)
        return lambda: bool(seen) and seen[-1] >= least

    def _until(self, condition: Callable[[], bool], limit_s: float = 180) -> None:
        end = time.perf_counter() + limit_s
        while not condition():
            if time.perf_counter() > end:
                raise RuntimeError(f"waited {limit_s} s in state {self.engine.state}")
            _spend(0.002)


def _judge(before: float, readings: list[tuple[float, float]]) -> Stopped:
    """From (seconds since the click, CPU seconds) of the child; a dead child uses none."""
    final = readings[-1][1]
    busy_until = next((at for at, cpu in readings if cpu >= final), 0.0)
    late = [(at, cpu) for at, cpu in readings if at >= 1.0]
    percent = 100 * (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])
    return Stopped(before, busy_until * 1000, percent)


class CpuClock:
    """CPU seconds of a process; they stand still when it has ended."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._last = 0.0

    def __call__(self) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = self._process.cpu_times()
            self._last = max(self._last, times.user + times.system)
        return self._last


def _spend(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(max(1, int(seconds * 1000)), loop.quit)
    loop.exec()


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=3)
    parser.add_argument("--shape", default="1b")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
