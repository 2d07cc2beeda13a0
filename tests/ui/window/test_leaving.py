"""What is asked before the program ends in the middle of a job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from app.engine.messages import MeasureMachine
from app.library.messages import VerifyModel
from app.quantize.messages import Quantize
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import FakeEngine
from ui.look.theme import ThemeWatcher
from ui.program import Program
from ui.window.job_notices import QUIT, STAY, quit_question
from workers.jobs import Job, JobStatus

QUANTIZE = Quantize(Path("/m/a"), Path("/m/a/a-Q4_0.gguf"), "Q4_0")
RECIPE = JobStatus(1, Job("Mine: a", (QUANTIZE,), stages=(0,), stage_count=1))


@pytest.fixture
def program(
    qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    """In the middle of a recipe."""
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    jobs = type(program.hub.jobs)
    monkeypatch.setattr(jobs, "jobs", property(lambda _queue: (RECIPE,)))
    monkeypatch.setattr(jobs, "close", lambda _queue: None)
    program.ends: list[bool] = []
    program.window.closed.disconnect()
    program.window.closed.connect(lambda: program.ends.append(True))
    program.window.show()
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def question(program: Program) -> QMessageBox:
    (box,) = [box for box in program.window.findChildren(QMessageBox) if box.isVisible()]
    return box


def press(program: Program, text: str) -> None:
    next(button for button in question(program).buttons() if button.text() == text).click()


def test_a_recipe_goes_on_at_the_next_start() -> None:
    assert "the next start offers to go on" in quit_question([RECIPE])


def test_what_would_be_cancelled_is_named() -> None:
    words = quit_question([JobStatus(1, Job("Making a-Q4_0.gguf", (QUANTIZE,)))])
    assert words.startswith("“Making a-Q4_0.gguf”")
    assert "cancels" in words


def test_what_is_short_or_begins_by_itself_needs_no_question() -> None:
    requests = (VerifyModel(STARTER_MODEL), MeasureMachine())
    assert quit_question([JobStatus(1, Job("x", (one,))) for one in requests]) == ""
    assert quit_question([]) == ""


def test_the_window_stays_until_it_is_answered(program: Program) -> None:
    program.window.close()
    assert program.window.isVisible()
    assert "recipe" in question(program).text()
    assert program.ends == []
    program.window.close()
    press(program, QUIT)  # one question, however often one tries
    assert not program.window.isVisible()
    assert program.ends == [True]


def test_one_who_stays_is_asked_again_the_next_time(program: Program) -> None:
    program.window.close()
    press(program, STAY)
    assert program.window.isVisible()
    program.window.close()
    assert "recipe" in question(program).text()
    assert program.ends == []


def test_a_signal_is_not_held_up(program: Program) -> None:
    program.window.close_now()  # what a signal is connected with
    assert program.ends == [True]


def test_without_a_job_it_closes_at_once(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(program.hub.jobs), "jobs", property(lambda _queue: ()))
    program.window.close()
    assert program.ends == [True]
