"""Gaps of the window's event loop while the child loads, reads a long prompt and writes, and while a long chat scrolls.

    python -m tests.benchmarks.gaps [--shape 1b] [--tokens 500]

A timer of 5 ms beats in the window; a gap is how much later than that it came. Two things stand beside it, because the
child takes all cores and a late beat may be the system's doing: the gaps of a process that only sleeps and wakes, and
the CPU time the window's own thread used between two beats, which is the window's doing alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication

from app.chat.conversation import MessageState
from app.chat.store import ChatStore
from app.engine.generation import percentile
from app.engine.messages import Sampling
from app.settings import Theme
from app.system.paths import Paths
from tests.benchmarks import pairs
from tests.benchmarks.engine import words
from tests.benchmarks.pairs import Figure, Goal
from tests.benchmarks.shapes import model_of_shape
from ui.look.theme import ThemeWatcher
from ui.program import Program
from workers.engine.client import EngineState

_BEAT_MS = 5
_P99, _MAXIMUM = Goal(16), Goal(50)
_SLEEPER = """
import time, sys, json
late = []
while not sys.stdin.closed:
    start = time.perf_counter()
    time.sleep(0.005)
    late.append((start, (time.perf_counter() - start) * 1000 - 5))
    if len(late) % 200 == 0:
        print(json.dumps(late), flush=True)
        late = []
"""


@dataclass
class Phase:
    """Gaps in ms of one phase: the window's, a sleeping process's; and the window's own CPU ms between beats."""

    name: str
    start: float
    end: float = 0.0
    window: list[float] = field(default_factory=list)
    own_cpu: list[float] = field(default_factory=list)
    sleeper: list[float] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        return [
            *_spread(f"{self.name}: gaps", self.window, _P99, _MAXIMUM),
            *_spread("  a process that only sleeps", self.sleeper),
            *_spread("  the window's own CPU between beats", self.own_cpu),
        ]


def _spread(name: str, gaps: list[float], p99: Goal | None = None, maximum: Goal | None = None) -> list[Figure]:
    values = gaps or [0.0]
    return [
        Figure(f"{name}, 99th percentile", (percentile(values, 99),), "ms", p99, f"{len(values)} beats"),
        Figure(f"{name}, maximum", (max(values),), "ms", maximum),
    ]


class Heartbeat:
    """Beats in the event loop for as long as it lives, and files each beat under the phase that runs."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self._phase: Phase | None = None
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_beat)
        self._timer.start(_BEAT_MS)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        pairs.say(name)
        self._phase = Phase(name, time.perf_counter())
        yield
        spend(0.05)
        self._phase.end = time.perf_counter()
        self.phases.append(self._phase)
        self._phase = None

    def _on_beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        if self._phase is not None:
            self._phase.window.append((now[0] - self._last[0]) * 1000 - _BEAT_MS)
            self._phase.own_cpu.append((now[1] - self._last[1]) * 1000)
        self._last = now


def main() -> int:
    options = _options()
    model = model_of_shape(options.shape)
    before = pairs.machine()
    with tempfile.TemporaryDirectory() as home, _sleeper() as sleeps:
        paths = Paths(Path(home)).ensure()
        conversation = _write_conversation(paths, options.messages)
        phases = _measure(paths, model, conversation, options.tokens)
    late = sleeps()
    for phase in phases:
        phase.sleeper = [ms for at, ms in late if phase.start <= at <= phase.end]
    return pairs.show([figure for phase in phases for figure in phase.figures()], before, options.json)


def _measure(paths: Paths, model: Path, conversation: str, tokens: int) -> list[Phase]:
    application = QApplication.instance() or QApplication([])
    program = Program(paths, ThemeWatcher(application, Theme.SYSTEM))  # type: ignore[arg-type]
    program.window.show()  # not program.show(): that would load the starter model as well
    spend(2)
    beat, engine, page = Heartbeat(), program.engine, program.chat_page
    program.sampler.start()
    with beat.phase("idle"):
        spend(4)
    with beat.phase("loading"):
        program.current.load(model)
        until(lambda: engine.state is EngineState.READY)
    sampling = Sampling(temperature=0.7, max_tokens=tokens)
    chat = ChatStoreCalls(program)
    chat.open(chat.new(sampling))
    first: list[object] = []
    engine.token.connect(first.append)
    with beat.phase("prefilling 2,000 tokens"):
        page._on_send(words(1000))
        until(lambda: bool(first))
    with beat.phase(f"generating {tokens} tokens"):
        until(lambda: engine.state is EngineState.READY)
    engine.token.disconnect(first.append)
    pairs.say(f"{len(first)} tokens")
    with beat.phase("opening a conversation of 200 messages"):
        page.open(conversation)
        until(lambda: page.conversation.id == conversation)
        spend(2)
    with beat.phase("scrolling it"):
        _scroll(_scroll_area(program), 10)
    program.end()
    return beat.phases


class ChatStoreCalls:
    """The page's storage, waited for."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def new(self, sampling: Sampling) -> str:
        made: list[str] = []
        self._program.storage.run(lambda store: store.create(sampling=sampling), lambda c: made.append(c.id))
        until(lambda: bool(made))
        return made[0]

    def open(self, conversation: str) -> None:
        self._program.chat_page.open(conversation)
        until(lambda: self._program.chat_page.conversation.id == conversation)


def _write_conversation(paths: Paths, messages: int) -> str:
    """Questions and answers with headings, lists and code, as a model writes them."""
    with ChatStore(paths.chats) as store:
        conversation = store.create()
        parent = None
        for number in range(messages // 2):
            question = store.add_user_message(conversation.id, parent, f"Question {number}: {words(20, number)}?")
            answer = store.begin_answer(conversation.id, question.id, "model")
            store.finish_answer(answer.id, _answer(number), None, MessageState.COMPLETE)
            parent = answer.id
    return conversation.id


def _answer(number: int) -> str:
    code = "\n".join(f"    total = total + values[{i}]  # step {i}" for i in range(6))
    return (
        f"## Answer {number}\n\n{words(60, number)}. **{words(3)}** and `name_{number}`:\n\n"
        f"- {words(8)}\n- {words(9)}\n\n"
        f"```python\ndef function_{number}(values):\n    total = 0\n{code}\n    return total\n```\n\n"
        f"| a | b |\n|---|---|\n| {number} | {number * 2} |\n\n{words(40, number + 3)}."
    )


def _scroll_area(program: Program) -> QAbstractScrollArea:
    area = program.chat_page.transcript
    if area.verticalScrollBar().maximum() < area.viewport().height():
        raise RuntimeError("The conversation is not longer than the window: nothing would scroll.")
    return area


def _scroll(area: QAbstractScrollArea, seconds: float) -> None:
    """Turn the wheel up through the conversation and down again, a notch each 16 ms."""
    viewport, end = area.viewport(), time.perf_counter() + seconds
    where = QPointF(viewport.rect().center())
    notch, places = 120, set()
    while time.perf_counter() < end:
        bar = area.verticalScrollBar()
        places.add(bar.value())
        if bar.value() in (bar.minimum(), bar.maximum()):
            notch = 120 if bar.value() == bar.maximum() else -120
        event = QWheelEvent(
            where, viewport.mapToGlobal(where), QPoint(), QPoint(0, notch * 2), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)
        spend(0.016)
    if len(places) < 50:
        raise RuntimeError(f"It did not scroll: {len(places)} places in {seconds} s.")


@contextlib.contextmanager
def _sleeper() -> Iterator[Callable[[], list[tuple[float, float]]]]:
    """A process that sleeps 5 ms again and again; afterwards, when it was late and by how many ms."""
    process = subprocess.Popen([sys.executable, "-c", _SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said: list[bytes] = []
    assert process.stdout is not None
    lines = process.stdout

    def read() -> list[tuple[float, float]]:
        return [(at, ms) for line in said for at, ms in json.loads(line)]

    reader = threading.Thread(target=lambda: said.extend(iter(lines.readline, b"")))
    reader.start()
    try:
        yield read
    finally:
        process.terminate()
        process.wait()
        reader.join()


def until(condition: Callable[[], bool], limit_s: float = 300) -> None:
    end = time.perf_counter() + limit_s
    while not condition():
        if time.perf_counter() > end:
            raise RuntimeError("waited too long")
        spend(0.02)


def spend(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(max(1, int(seconds * 1000)), loop.quit)
    loop.exec()


def _options() -> argparse.Namespace:
    parser = pairs.parser(__doc__, pairs=1)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--messages", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
