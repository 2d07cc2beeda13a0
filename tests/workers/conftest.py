"""For the bridge's tests: real children, and no timer left running."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QTimer, Signal
from pytestqt.qtbot import QtBot

from app.engine.messages import Generate, LoadModel, Message, Role
from app.system.paths import Paths, default_paths
from tests.ui.services import engine, loaded_engine, settings, storage, tasks
from workers.engine.client import ChatEngine, EngineSignals
from workers.process import ChildProcess

__all__ = ["engine", "loaded_engine", "settings", "storage", "tasks"]

MISBEHAVING = (sys.executable, "-X", "faulthandler", "-u", str(Path(__file__).with_name("misbehaving_child.py")))
TIMEOUT_MS = 20_000


@pytest.fixture(autouse=True)
def no_timer_left(qapp: object, nothing_left_running: None) -> Iterator[None]:
    """Fail a test that leaves a timer running. pytest-qt's own are gone by then."""
    before = set(_active_timers())
    yield
    left = [timer for timer in _active_timers() if timer not in before]
    for timer in left:
        timer.stop()
    assert not left, f"left running: {left}"


def _active_timers() -> list[QTimer]:
    wrappers = shiboken6.getAllValidWrappers()
    return [one for one in wrappers if isinstance(one, QTimer) and shiboken6.isValid(one) and one.isActive()]


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    return default_paths().ensure()


@pytest.fixture
def child(qapp: object, paths: Paths) -> Iterator[ChildProcess]:
    """A misbehaving child, not started."""
    process = ChildProcess()
    yield process
    process.kill()
    process.pump(5000)
    shiboken6.delete(process)


@pytest.fixture
def make_engine(qapp: object, paths: Paths) -> Iterator[Callable[..., ChatEngine]]:
    """Engines over a misbehaving child, or over another command."""
    engines: list[ChatEngine] = []

    def make(command: tuple[str, ...] | None = MISBEHAVING) -> ChatEngine:
        engines.append(ChatEngine(paths, command))
        return engines[-1]

    yield make
    for made in engines:
        made.close(100)
        shiboken6.delete(made)


class Heard:
    """Everything an engine said, in order, as (signal name, value)."""

    def __init__(self, engine: ChatEngine, qtbot: QtBot) -> None:
        self.engine = engine
        self.qtbot = qtbot
        self.all: list[tuple[str, object]] = []
        for name in (name for name, value in vars(EngineSignals).items() if isinstance(value, Signal)):
            getattr(engine, name).connect(lambda value=None, name=name: self.all.append((name, value)))

    def of(self, name: str) -> list:
        return [value for said, value in self.all if said == name]

    def names(self, *names: str) -> list[str]:
        return [said for said, _ in self.all if said in names]

    @property
    def states(self) -> list[str]:
        return [state.value for state in self.of("state_changed")]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.of("token"))

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def wait_for(self, name: str, count: int = 1) -> None:
        self.wait(lambda: len(self.of(name)) >= count)

    def wait_for_state(self, state: str) -> None:
        self.wait(lambda: self.engine.state == state)

    def loaded(self, what: str = "finish") -> Heard:
        self.engine.load(model(what))
        self.wait_for_state("ready")
        return self


def model(what: str, **more: object) -> LoadModel:
    """A request that makes the misbehaving child do `what` in its load."""
    return LoadModel(Path(f"/models/{what}.gguf"), **more)


def ask(what: str) -> Generate:
    """A request that makes the misbehaving child do `what` in its answer."""
    return Generate("conversation", (Message(Role.USER, what),))


@pytest.fixture
def heard(make_engine: Callable[..., ChatEngine], qtbot: QtBot) -> Heard:
    """An engine over a misbehaving child, and what it says."""
    return Heard(make_engine(), qtbot)


def opened(paths: Paths) -> list[str]:
    """Conversations the child was told to open, "nothing" where it only saved."""
    file = paths.home / "opened.txt"
    return file.read_text().split() if file.exists() else []
