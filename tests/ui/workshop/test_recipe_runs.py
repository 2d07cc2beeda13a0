"""What the Workshop's recipe sets off in the program: questions to the planner, one job, and its end."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from app.library.library import ModelEntry, ModelSource
from app.library.safetensors import facts_of
from app.measure.messages import MeasureQuality
from app.prune.messages import Prune
from app.quantize.messages import Quantize
from app.recipe.recipe import BegunRecipe, Recipe, begun_recipe, remember
from app.recover.messages import Recover
from app.system.paths import Paths
from tests.real_models import STDLIB_3M
from tests.ui.fake_engine import FakeEngine
from tests.ui.fake_jobs import AddedJobs
from tests.ui.scenes_recipe import RECIPE, plan_of
from tests.ui.seen import clock_of
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from ui.workshop.page import COMPARE, MAKE
from workers.jobs import Job, JobState, JobStatus
from workers.protocol import Failure

SOURCE = ModelEntry(
    STDLIB_3M, STDLIB_3M.name, 6_000_000, None, "", ModelSource.MODELS_FOLDER, is_folder=True, facts=facts_of(STDLIB_3M)
)


@pytest.fixture
def program(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, monkeypatch) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.library.refresh = lambda: None  # the sample entries stay
    program.library.read_figures = lambda: None
    program.plans: list[tuple[object, ...]] = []
    program.offers: list[tuple[object, ...]] = []
    hub = program.hub
    program.added = AddedJobs(hub.jobs, monkeypatch)
    monkeypatch.setattr(hub.speed, "measure", lambda: None)
    monkeypatch.setattr(hub.recipes, "plan", lambda *given: program.plans.append(given))
    monkeypatch.setattr(hub.recipes, "offers", lambda *given: program.offers.append(given))
    program.models.set_entries((SOURCE,))
    program.workshop_page.make.editor.show_recipe(RECIPE)
    program.window.show()
    program.window.show_page(Page.WORKSHOP)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def run(program: Program, recipe: Recipe = RECIPE) -> Job:
    program.workshop_page.make.run_requested.emit(STDLIB_3M, recipe)
    return program.added[-1]


def end(program: Program, state: JobState, **more: object) -> None:
    program.added.tell(state, **more)


def test_the_planner_is_asked_with_what_the_original_is_beside_it(program: Program, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: bool(program.plans))
    source, recipe, context = program.plans[0]
    assert (source, recipe, context) == (STDLIB_3M, RECIPE, program.settings.current.context_tokens)
    assert program.offers[0][:2] == (STDLIB_3M, ("BF16", "Q4_K_M"))


def test_a_recipe_is_one_job(program: Program) -> None:
    job = run(program)
    kinds = [type(request) for request in job.requests if not type(request).__name__.startswith("Finish")]
    assert kinds == [Prune, Recover, Quantize, MeasureQuality]
    assert job.title.startswith(RECIPE.name)


def test_its_progress_is_on_the_page(program: Program) -> None:
    job = run(program)
    program.added.tell(JobState.RUNNING)
    pane = program.workshop_page.make
    assert pane.outcome.verdict.text().startswith("Step 1 of 3: ")
    program.added.tell(JobState.RUNNING, step=len(job.requests) - 1)
    assert pane.outcome.verdict.text().startswith("Step 3 of 3: "), "steps are the cards, not the requests"
    program.added.tell(JobState.RUNNING)
    program.hub.jobs.changed.emit(JobStatus(2, job, JobState.QUEUED))
    assert pane.outcome.verdict.text().startswith("Step 1 of "), "another job is not this one"


def test_a_second_press_does_not_cancel_what_the_first_began(program: Program, qtbot: QtBot) -> None:
    pane = program.workshop_page.make
    qtbot.waitUntil(lambda: bool(program.plans))
    pane.show_plan(dataclasses.replace(plan_of(RECIPE), source=STDLIB_3M))
    cancelled: list[int] = []
    program.window.strip.job_cancel_requested.connect(cancelled.append)
    pane.cancel_requested.connect(lambda: cancelled.append(0))
    pane.outcome.run.setFocus()
    qtbot.keyClick(pane.outcome.run, Qt.Key.Key_Space)
    program.added.tell(JobState.RUNNING)
    place = program.window.focusWidget()
    assert not isinstance(place, QAbstractButton)
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Return):
        qtbot.keyClick(place, key)
    assert cancelled == []
    qtbot.keyClick(place, Qt.Key.Key_Tab)
    assert program.window.focusWidget() is pane.outcome.cancel, "the Tab key goes on from there"


def test_a_failure_stays_on_the_page_and_can_be_run_again(program: Program) -> None:
    job = run(program)
    end(program, JobState.FAILED, failure=Failure("The disk is full.", "Free some space."))
    bar = program.workshop_page.make.error
    assert bar.sentence == "The disk is full."
    assert "Free some space. What is finished is kept" in bar.hint
    assert program.window.error.sentence == "", "once is enough"
    bar.buttons()["Run again"].click()
    assert [one.requests for one in program.added] == [job.requests, job.requests]


def test_a_failure_is_told_on_the_page_that_is_seen(program: Program) -> None:
    run(program)
    program.window.show_page(Page.CHAT)
    end(program, JobState.CRASHED, failure=Failure("The engine was ended by SIGKILL."))
    assert "SIGKILL" in program.window.error.sentence
    assert "SIGKILL" in program.workshop_page.make.error.sentence
    assert program.workshop_page.view == MAKE


def test_a_cancelled_recipe_says_what_became_of_it(program: Program) -> None:
    run(program)
    end(program, JobState.CANCELLED)
    assert "goes on from there" in program.workshop_page.make.notice.sentence
    assert program.window.notice.sentence == ""


def begun(
    qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, monkeypatch, told: tuple[str, ...] = ()
) -> Program:
    """The window after one that was killed while a recipe ran."""
    source = Path(shutil.copytree(STDLIB_3M, paths.models / "me" / "stdlib"))
    remember(paths, BegunRecipe(source, Recipe("Mine", RECIPE.steps)))
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.added = AddedJobs(program.hub.jobs, monkeypatch)
    monkeypatch.setattr(program.hub.speed, "measure", lambda: None)
    monkeypatch.setattr(program.hub.recipes, "plan", lambda *given: None)
    monkeypatch.setattr(program.hub.recipes, "offers", lambda *given: None)
    program.show(told=told)
    qtbot.waitUntil(lambda: "“Mine” for stdlib was interrupted" in program.window.notice.sentence)
    return program


def test_a_recipe_that_was_killed_is_told_and_goes_on(qtbot, engine, theme, paths, monkeypatch) -> None:
    program = begun(qtbot, engine, theme, paths, monkeypatch)
    program.window.notice.buttons()["Go on"].click()
    assert program.window.pages.currentWidget() is program.workshop_page
    assert program.added[0].title == "Mine: stdlib"
    assert program.workshop_page.make.editor.recipe.name == "Mine"
    assert program.workshop_page.make.notice.sentence == "", "it goes on"
    qtbot.waitUntil(lambda: program.workshop_page.make.entry is not None)
    program.added.tell(JobState.DONE, 0)
    assert begun_recipe(paths) is None
    finish(program)


def test_a_recipe_that_was_killed_stands_in_the_workshop_until_it_is_answered(
    qtbot, engine, theme, paths, monkeypatch
) -> None:
    program = begun(qtbot, engine, theme, paths, monkeypatch)
    pane = program.workshop_page.make
    qtbot.waitUntil(lambda: pane.entry is not None)
    assert (pane.entry.path.name, pane.editor.recipe.name) == ("stdlib", "Mine")
    assert "Go on" in pane.notice.buttons()
    assert program.window.notice.sentence == "", "once is enough"
    pane.notice.dismiss()
    assert begun_recipe(paths) is None
    finish(program)


def test_a_recipe_that_was_killed_is_forgotten_when_the_notice_is_closed(
    qtbot, engine, theme, paths, monkeypatch
) -> None:
    program = begun(qtbot, engine, theme, paths, monkeypatch)
    program.window.notice.dismiss()
    assert begun_recipe(paths) is None
    finish(program)


def test_to_close_another_notice_does_not_forget_the_recipe(qtbot, engine, theme, paths, monkeypatch) -> None:
    program = begun(qtbot, engine, theme, paths, monkeypatch)
    program.window.notice.show_notice("A download is here.")
    program.window.notice.dismiss()
    assert begun_recipe(paths) is not None
    finish(program)


def test_what_else_the_start_had_to_say_stays(qtbot, engine, theme, paths, monkeypatch) -> None:
    program = begun(qtbot, engine, theme, paths, monkeypatch, told=("The folder was made by a newer Bantam.",))
    program.window.show_page(Page.WORKSHOP)
    assert program.window.notice.sentence == "The folder was made by a newer Bantam."
    assert "Go on" not in program.window.notice.buttons()
    program.window.notice.dismiss()
    assert begun_recipe(paths) is not None, "that was not about the recipe"
    assert "was interrupted" in program.workshop_page.make.notice.sentence
    finish(program)


def test_a_recipe_is_remembered_while_it_runs(program: Program, paths: Paths) -> None:
    run(program)
    assert begun_recipe(paths) == BegunRecipe(STDLIB_3M, RECIPE)
    program.hub.jobs._closing = True
    end(program, JobState.CANCELLED)
    assert begun_recipe(paths) is not None, "the window was closed: the next start offers to go on"


def finish(program: Program) -> None:
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def made(job: Job) -> ModelEntry:
    (file,) = [request.output for request in job.requests if isinstance(request, Quantize)]
    return dataclasses.replace(SOURCE, path=file, name=file.stem, is_folder=False, facts=None)


def test_the_result_is_shown_in_compare_once_it_is_in_the_list(program: Program) -> None:
    job = run(program)
    end(program, JobState.DONE)
    page = program.workshop_page
    assert page.view == MAKE, "the list of models is still being read"
    program.models.set_entries((SOURCE, made(job)))
    assert page.view == COMPARE
    assert made(job).path.name in page.compare.notice.sentence
    assert "Chat" in page.compare.notice.buttons()


def test_the_page_that_it_was_run_on_says_what_was_made(program: Program) -> None:
    job = run(program)
    end(program, JobState.DONE)
    page = program.workshop_page
    assert page.make.notice.sentence == f"{made(job).path.name} is here."
    program.models.set_entries((SOURCE, made(job)))
    page.show_view(MAKE)
    assert page.make.notice.sentence, "it is still there when one comes back"
    page.make.notice.buttons()["Compare"].click()
    assert page.view == COMPARE
    run(program)
    assert page.make.notice.sentence == "", "that was the last one"


def test_a_folder_that_was_made_is_named_and_found_on_models(program: Program) -> None:
    job = run(program, Recipe("Only narrower", RECIPE.steps[:1]))
    end(program, JobState.DONE)
    bar = program.workshop_page.make.notice
    assert bar.sentence == f"{job.requests[-1].model.name} is here."
    assert [*bar.buttons()] == ["Models"]
    bar.buttons()["Models"].click()
    assert program.window.pages.currentWidget() is program.models_page


@pytest.mark.parametrize("state", [JobState.DONE, JobState.CANCELLED, JobState.FAILED])
def test_the_plan_is_asked_for_again_when_a_run_has_ended(program: Program, qtbot: QtBot, state: JobState) -> None:
    pane = program.workshop_page.make
    clock_of(pane).setInterval(0)
    qtbot.waitUntil(lambda: bool(program.plans))
    pane.show_plan(dataclasses.replace(plan_of(RECIPE), source=STDLIB_3M, notice="It is not there yet."))
    run(program)
    program.added.tell(JobState.RUNNING)
    program.plans.clear()
    end(program, state, failure=Failure("The disk is full.") if state is JobState.FAILED else None)
    assert "not there yet" not in pane.outcome.verdict.text()
    qtbot.waitUntil(lambda: bool(program.plans))


def test_a_result_is_told_on_another_page(program: Program) -> None:
    job = run(program)
    program.window.show_page(Page.CHAT)
    end(program, JobState.DONE)
    assert made(job).path.name in program.window.notice.sentence
    program.window.notice.buttons()["Compare"].click()
    assert program.window.pages.currentWidget() is program.workshop_page


def test_what_cannot_be_begun_is_said_at_once(program: Program, tmp_path: Path) -> None:
    program.workshop_page.make.run_requested.emit(tmp_path, RECIPE)
    assert program.added == []
    assert program.workshop_page.make.error.sentence


def another(program: Program, name: str) -> ModelEntry:
    return dataclasses.replace(SOURCE, path=STDLIB_3M.with_name(name), name=name)


def test_the_model_that_was_used_last_is_chosen_at_the_next_start(
    program: Program, qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths
) -> None:
    first = another(program, "a-first-by-its-name")
    program.models.set_entries((first, SOURCE))
    run(program)
    again = Program(paths, theme, engine)
    qtbot.addWidget(again.window)
    again.library.refresh = lambda: None
    pane = again.workshop_page.make
    again.models.set_entries((first, SOURCE))
    assert pane.entry == SOURCE
    pane.source.setCurrentIndex(0)
    pane.source.activated.emit(0)  # as a person does
    assert again.state.current.last_source == str(first.path)
    finish(again)


def test_one_is_cancelled_by_its_own_number(program: Program, monkeypatch) -> None:
    cancelled: list[int] = []
    monkeypatch.setattr(program.hub.jobs, "cancel", cancelled.append)
    program.workshop_page.make.cancel_requested.emit()
    assert cancelled == []
    run(program)
    program.workshop_page.make.cancel_requested.emit()
    assert cancelled == [1]
