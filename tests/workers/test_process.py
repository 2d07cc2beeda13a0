"""The wrapper of QProcess, over a child that really misbehaves."""

from __future__ import annotations

import itertools
import os
import signal

import psutil
import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from app.engine.environment import engine_environment
from app.engine.messages import Token
from app.operation import Notice
from app.system.process_outcome import Ending, ProcessOutcome
from tests.workers.conftest import MISBEHAVING, TIMEOUT_MS, ask
from workers import process
from workers.process import ChildProcess
from workers.protocol import End, Failure, Hello, Line


class Run:
    """A started child and what came of it."""

    def __init__(
        self, child: ChildProcess, qtbot: QtBot, *asked: str, environment: dict[str, str] | None = None
    ) -> None:
        self.child = child
        self.qtbot = qtbot
        self.lines: list[Line] = []
        self.outcomes: list[ProcessOutcome] = []
        self.lines_at_end = -1
        child.line_received.connect(self.lines.append)
        child.ended.connect(self._on_ended)
        child.start(MISBEHAVING, environment)
        for number, what in enumerate(asked, start=1):
            child.send(Line(number, ask(what)))

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        self.outcomes.append(outcome)
        self.lines_at_end = len(self.lines)

    @property
    def answers(self) -> list[Line]:
        return [line for line in self.lines if line.end is not None]

    def to_answer(self, count: int = 1) -> Run:
        self.qtbot.waitUntil(lambda: len(self.answers) >= count, timeout=TIMEOUT_MS)
        return self

    def to_tokens(self) -> Run:
        self.qtbot.waitUntil(lambda: any(isinstance(line.value, Token) for line in self.lines), timeout=TIMEOUT_MS)
        return self

    def to_end(self) -> ProcessOutcome:
        self.qtbot.waitUntil(lambda: bool(self.outcomes), timeout=TIMEOUT_MS)
        return self.outcomes[0]


def test_a_child_greets_answers_and_ends_when_told(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "finish").to_answer()
    assert run.lines[0].value == Hello(child.pid)
    assert run.answers[0].end is End.RESULT
    child.end()
    assert run.to_end() == ProcessOutcome(Ending.STOPPED, 0)
    assert not child.is_running
    assert child.pid is None


@pytest.mark.parametrize(
    ("what", "name"), [("segfault", "SIGSEGV"), ("illegal instruction", "SIGILL"), ("abort", "SIGABRT")]
)
def test_a_crash_is_told_with_its_signal_and_where_it_happened(
    child: ChildProcess, qtbot: QtBot, what: str, name: str
) -> None:
    outcome = Run(child, qtbot, what).to_end()
    assert outcome.ending is Ending.CRASHED
    assert outcome.signal_name == name
    assert "in behave" in outcome.details  # the traceback of faulthandler


def test_killed_from_outside(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "hang").to_tokens()
    os.kill(child.pid or 0, signal.SIGKILL)
    assert run.to_end().is_kill


def test_killed_by_us_is_no_crash(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "hang").to_tokens()
    child.kill()
    assert run.to_end().ending is Ending.STOPPED


def test_an_exit_nobody_asked_for(child: ChildProcess, qtbot: QtBot) -> None:
    outcome = Run(child, qtbot, "exit 3").to_end()
    assert (outcome.ending, outcome.code) == (Ending.EXITED, 3)


def test_what_native_code_prints_does_not_break_the_protocol(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "noise on fd 1", "exit 3").to_answer()
    assert run.answers[0].end is End.RESULT
    details = run.to_end().details
    assert "native garbage" in details
    assert "not a line of the protocol" not in details
    assert "from Python" in details


def test_rubbish_on_the_line_is_skipped_and_kept_for_the_report(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "rubbish line", "exit 3").to_answer()
    assert run.answers[0].end is End.RESULT
    assert "not a line of the protocol" in run.to_end().details


def test_half_a_line_is_no_line(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "half a line+exit 3")
    assert '"Tok' in run.to_end().details
    assert [line.value.text for line in run.lines if isinstance(line.value, Token)] == ["Hel", "lo"]


def test_a_flood_arrives_whole_and_before_the_end(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "flood 50000+exit 3")
    run.to_end()
    assert sum(isinstance(line.value, Token) for line in run.lines) == 50_002
    assert run.lines_at_end == len(run.lines)


def test_the_window_gets_its_turn_when_a_slice_is_over(
    child: ChildProcess, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SLICE_MS", 0.0)  # over at once: one line a turn
    turns: list[int] = []
    ticker = QTimer()
    ticker.timeout.connect(lambda: turns.append(len(run.lines)))
    ticker.start(0)
    run = Run(child, qtbot, "flood 500+exit 3")
    run.to_end()
    ticker.stop()
    assert max(b - a for a, b in itertools.pairwise(turns)) <= 2


def test_a_child_that_ignores_the_end_of_its_input_is_killed(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "hang").to_tokens()
    process = psutil.Process(child.pid)
    process.suspend()  # it cannot even read that its stdin has ended
    child.end(grace_ms=1)
    assert run.to_end().ending is Ending.STOPPED
    assert not process.is_running()


def test_a_hanging_child_ends_when_its_input_does(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "ignore stop").to_tokens()
    child.end(grace_ms=TIMEOUT_MS)
    assert run.to_end() == ProcessOutcome(Ending.STOPPED, 0)


def test_a_program_that_is_not_there(child: ChildProcess, qtbot: QtBot) -> None:
    with qtbot.waitSignal(child.ended, timeout=TIMEOUT_MS) as ended:
        child.start(("/no/such/program",))
    assert ended.args[0].ending is Ending.NOT_STARTED
    assert "No such file" in ended.args[0].sentence


def test_the_barriers_spin_shortly_unless_the_user_says_otherwise(
    child: ChildProcess, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    spins = engine_environment()["GOMP_SPINCOUNT"]
    asked = ("environment GOMP_SPINCOUNT", "environment KMP_BLOCKTIME", "environment MORE")
    run = Run(child, qtbot, *asked, environment={"MORE": "of it"}).to_answer(3)
    assert [line.value.sentence for line in run.lines if isinstance(line.value, Notice)] == [spins, "7", "of it"]
    child.end()
    run.to_end()


def test_a_failure_is_a_sentence_and_a_bug_has_details(child: ChildProcess, qtbot: QtBot) -> None:
    run = Run(child, qtbot, "refuse", "raise", "finish").to_answer(3)
    refused, bug, finished = run.answers
    assert refused == Line(1, Failure("It cannot be done.", "Do something else.", kind="AppError"), End.FAILED)
    assert bug.end is End.FAILED
    assert "ValueError: a bug" in bug.value.sentence
    assert "Traceback" in bug.value.details
    assert finished.end is End.RESULT
    child.end()
    run.to_end()
