""" "Look inside…": the window, the questions to the child, the job that measures types, and handing them on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.inspect.messages import Inside, LookInside, SuggestTypes, workspace
from app.operation import Progress, Stage
from app.system.paths import Paths
from tests.ui.fake_engine import FakeEngine
from tests.ui.fake_jobs import AddedJobs
from tests.ui.scenes_inside import suggestion, tensors
from tests.ui.scenes_ledger import FOLDER, source, variants
from ui.inspect.controller import Inspection
from ui.look.theme import ThemeWatcher
from ui.models.quantize_dialog import QuantizeDialog
from ui.program import Program
from workers.jobs import Job, JobState
from workers.protocol import Failure


@pytest.fixture
def program(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, monkeypatch) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.library.refresh = lambda: None  # the sample entries stay
    program.library.read_figures = lambda: None
    program.asked, program.cancelled = [], []
    hub = program.hub
    monkeypatch.setattr(hub.inside, "ask", program.asked.append)
    monkeypatch.setattr(hub.offers, "ask", lambda *_: None)
    monkeypatch.setattr(hub.speed, "measure", lambda: None)
    program.added = AddedJobs(hub.jobs, monkeypatch)
    monkeypatch.setattr(hub.jobs, "cancel", program.cancelled.append)
    program.models.set_entries((source(), *variants()))
    program.models_page.select(FOLDER)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


@pytest.fixture
def looking(program: Program) -> Inspection:
    program.models_page.details.inside.click()
    looking = program.models_page.findChild(Inspection)
    assert looking.window is not None
    return looking


def test_a_window_opens_and_asks_for_the_list(program: Program, looking: Inspection) -> None:
    assert program.asked == [LookInside(FOLDER)]
    program.hub.inside.listed.emit(Inside(FOLDER, tensors()))
    assert looking.window.list.isEnabled()
    program.hub.inside.refused.emit(LookInside(FOLDER), "It is damaged.")
    assert looking.window.view.empty.text.text() == "It is damaged."


def test_a_measurement_is_a_job_that_leaves_nothing(
    program: Program, looking: Inspection, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking.window.types.start.click()
    request = SuggestTypes(FOLDER, "Q4_K_M", 0.0)
    assert program.added == [
        Job("Measuring the tensors of Qwen3-1.7B", (request,), folders=(workspace(request, paths),))
    ]
    running = program.added.tell(JobState.RUNNING, progress=Progress(Stage.SENSITIVITY, 2, 22))
    assert "2 of 22" in looking.window.types.words.text()
    monkeypatch.setattr(type(program.hub.jobs), "jobs", property(lambda _self: (running,)))
    looking.window.types.stop.click()
    assert program.cancelled == [running.id]


def test_what_was_found_is_handed_to_the_dialog(program: Program, looking: Inspection) -> None:
    looking.window.types.start.click()
    program.added.tell(JobState.DONE, result=suggestion())
    assert program.window.notice.sentence == f"{FOLDER.name}: {suggestion().sentence}"
    looking.window.types.use.click()
    dialog = program.models_page.window().findChild(QuantizeDialog)
    assert dialog.chosen == ("Q4_K_M",)
    assert dialog.requests()[0].overrides == suggestion().overrides
    dialog.reject()


def test_what_was_found_is_there_when_the_window_is_opened_again(program: Program, looking: Inspection) -> None:
    looking.window.types.start.click()
    looking.window.close()
    program.added.tell(JobState.DONE, result=suggestion())
    program.models_page.details.inside.click()
    assert "lose 35 %" in looking.window.types.verdict.text()
    looking.window.close()


def test_a_failure_is_said(program: Program, looking: Inspection) -> None:
    looking.window.types.start.click()
    program.added.tell(JobState.FAILED, failure=Failure("No room.", "Free some."))
    assert looking.window.types.trouble.text() == "No room. Free some."
    assert looking.window.types.start.isEnabled()


def test_the_window_needs_no_numpy() -> None:
    modules = "ui.inspect.controller, ui.inspect.window, workers.recipe_plans"
    code = f"import sys, {modules}; print([name for name in ('numpy', 'gguf') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
