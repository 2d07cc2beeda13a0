"""The first start: the greeting, the measurement that makes room for answers, the first model and where it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.engine.messages import MachineSpeed
from app.fit.first_choice import suggest
from app.fit.judgement import MemoryBudget
from app.settings import load_window_state
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL, EngineState, FakeEngine
from tests.ui.fake_hub import GB, FakeHub, FakeSpeed
from tests.ui.scenes import sample_entries
from ui.chat.empty import WELCOME
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from ui.startup import first_run
from ui.startup.first_run import FirstRun

STARTER = tuple(one for one in sample_entries() if one.path == STARTER_MODEL)


@pytest.fixture
def make(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths) -> Iterator:
    made: list[Program] = []

    def make_program() -> Program:
        program = Program(paths, theme, engine)
        qtbot.addWidget(program.window)
        made.append(program)
        return program

    yield make_program
    for program in made:
        program.tasks.close(20_000)
        program.end()
        shiboken6.delete(program)


@pytest.fixture
def program(make) -> Program:
    return make()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A new computer with 16 GB, online, not measured."""
    hub = FakeHub()
    hub.speed.speed = None
    monkeypatch.setattr(first_run, "has_network", lambda: True)
    monkeypatch.setattr(first_run.psutil, "cpu_percent", lambda: 3.0)
    monkeypatch.setattr(first_run, "total_memory_bytes", lambda: 16 * GB)
    monkeypatch.setattr(first_run, "memory_budget", lambda _given_back: MemoryBudget(14 * GB, 9 * GB))
    return hub


def first_run_of(program: Program, hub: FakeHub) -> FirstRun:
    services = SimpleNamespace(hub=hub, engine=program.engine, settings=program.settings)
    return FirstRun(services, program.models, program.chat_page.empty, program.navigation)


@pytest.fixture
def first(program: Program, hub: FakeHub) -> FirstRun:
    program.models.set_entries(STARTER)
    return first_run_of(program, hub)


def load_starter(program: Program, engine: FakeEngine) -> None:
    engine.hold = True
    engine.load_outcomes.append(dataclasses.replace(SAMPLE_MODEL, name="stdlib 21M"))
    program.current.load(STARTER_MODEL)
    engine.step()


def measured() -> MachineSpeed | None:
    return FakeSpeed().speed


def test_the_greeting_says_what_bantam_is_in_at_most_three_sentences(program: Program, engine: FakeEngine) -> None:
    load_starter(program, engine)
    empty = program.chat_page.empty
    assert empty.title == WELCOME
    assert "fit this computer" in empty.text
    assert empty.text.count(".") <= 3


def test_another_model_is_asked_and_does_not_greet(program: Program, engine: FakeEngine) -> None:
    program.current.load(SAMPLE_MODEL.path)
    engine.step()
    assert program.chat_page.empty.title == "Ask Qwen3 1.7B"


def test_after_the_first_chat_there_is_no_greeting(
    program: Program, engine: FakeEngine, qtbot: QtBot, paths, make
) -> None:
    load_starter(program, engine)
    program.chat_page.composer.set_text("Hello")
    program.chat_page.composer.button.click()
    qtbot.waitUntil(lambda: load_window_state(paths.window_state, paths.settings).greeted, timeout=20_000)
    assert program.chat_page.empty.title == "Ask stdlib 21M"
    again = make()
    load_starter(again, engine)
    assert again.chat_page.empty.title == "Ask stdlib 21M"


def test_who_comes_with_chats_is_not_greeted_again(make, engine: FakeEngine, storage, qtbot: QtBot, paths) -> None:
    done: list[object] = []
    storage.run(lambda store: store.add_user_message(store.create().id, None, "from an older version"), done.append)
    qtbot.waitUntil(lambda: bool(done))
    program = make()
    load_starter(program, engine)
    qtbot.waitUntil(lambda: program.chat_page.empty.title == "Ask stdlib 21M", timeout=20_000)
    assert load_window_state(paths.window_state, paths.settings).greeted


def test_it_is_measured_when_nothing_happens(
    first: FirstRun, program: Program, engine: FakeEngine, hub: FakeHub
) -> None:
    load_starter(program, engine)
    assert first.quiet.isActive()
    assert not hub.speed.is_measuring
    first.quiet.timeout.emit()
    assert hub.speed.is_measuring


def test_an_answer_puts_the_measurement_off(
    first: FirstRun, program: Program, engine: FakeEngine, hub: FakeHub
) -> None:
    load_starter(program, engine)
    first.quiet.timeout.emit()
    engine.change(EngineState.GENERATING)
    assert not hub.speed.is_measuring
    assert not first.quiet.isActive()
    engine.change(EngineState.READY)
    assert first.quiet.isActive()  # later


def test_a_measurement_the_user_wants_is_not_put_off(first: FirstRun, engine: FakeEngine, hub: FakeHub) -> None:
    hub.speed.measure()
    engine.change(EngineState.GENERATING)
    assert hub.speed.is_measuring


def test_other_work_comes_first(first: FirstRun, hub: FakeHub) -> None:
    hub.jobs.jobs = ("a quantization",)
    first.quiet.timeout.emit()
    assert not hub.speed.is_measuring
    assert first.quiet.isActive()


def test_a_busy_computer_is_measured_later_but_not_never(first: FirstRun, hub: FakeHub, monkeypatch) -> None:
    monkeypatch.setattr(first_run.psutil, "cpu_percent", lambda: 97.0)
    for _ in range(10):
        first.quiet.timeout.emit()
        assert not hub.speed.is_measuring
        assert first.quiet.interval() == first_run.BUSY_MS
    first.quiet.timeout.emit()
    assert hub.speed.is_measuring


def test_a_job_of_the_users_does_not_wait_behind_it(first: FirstRun, hub: FakeHub, qtbot: QtBot) -> None:
    first.quiet.timeout.emit()
    hub.jobs.jobs = ("the measurement",)
    hub.jobs.changed.emit(None)
    qtbot.wait(1)
    assert hub.speed.is_measuring
    hub.jobs.jobs = ("the measurement", "a quantization")
    hub.jobs.changed.emit(None)
    qtbot.waitUntil(lambda: not hub.speed.is_measuring)
    assert first.quiet.isActive()


def test_who_cancels_it_is_not_asked_again_and_still_gets_a_suggestion(
    first: FirstRun, program: Program, engine: FakeEngine, hub: FakeHub
) -> None:
    load_starter(program, engine)
    first.quiet.timeout.emit()
    hub.speed.end(None)
    engine.change(EngineState.GENERATING)
    engine.change(EngineState.READY)
    assert not first.quiet.isActive()
    assert "it fits." in program.chat_page.empty.first_model.text.text()


def test_a_measured_computer_is_not_measured_again(program: Program, engine: FakeEngine, hub: FakeHub) -> None:
    hub.speed.speed = measured()
    first = first_run_of(program, hub)
    load_starter(program, engine)
    assert not first.quiet.isActive()


def test_the_suggestion_follows_the_measurement(first: FirstRun, program: Program, hub: FakeHub) -> None:
    line = program.chat_page.empty.first_model
    assert line.text.text().startswith("Measuring this computer")
    hub.speed.end(measured())
    assert line.title.text() == "A good first model for this computer: Qwen3 8B"
    assert "fits and should take about" in line.text.text()


def test_offline_it_is_said_what_to_do_later(
    first: FirstRun, program: Program, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "has_network", lambda: False)
    hub.speed.end(measured())
    assert "Once you are online" in program.chat_page.empty.first_model.text.text()


def test_nothing_is_suggested_to_who_has_a_model(first: FirstRun, program: Program, hub: FakeHub) -> None:
    program.models.set_entries(sample_entries())
    hub.speed.end(measured())
    assert program.chat_page.empty.first_model.isHidden()


def test_a_slow_computer_gets_a_smaller_model_than_its_memory_would_take(
    first: FirstRun, program: Program, hub: FakeHub
) -> None:
    speed = measured()
    slow = tuple(dataclasses.replace(one, bytes_per_second=5.0 * GB) for one in speed.types)
    hub.speed.end(dataclasses.replace(speed, types=slow, kv_bytes_per_second=5.0 * GB))
    assert program.chat_page.empty.first_model.title.text().endswith("Llama 3.2 1B")


def test_who_uses_a_model_of_their_own_is_not_advised(
    first: FirstRun, program: Program, engine: FakeEngine, hub: FakeHub
) -> None:
    hub.speed.end(measured())
    engine.hold = True
    program.current.load(SAMPLE_MODEL.path)
    engine.step()
    assert program.chat_page.empty.first_model.isHidden()


def test_a_download_that_is_broken_is_no_model_yet(first: FirstRun, program: Program, hub: FakeHub) -> None:
    broken = next(one for one in sample_entries() if one.header is None and one.problem.startswith("The file is cut"))
    program.models.set_entries((*STARTER, broken))
    hub.speed.end(measured())
    assert not program.chat_page.empty.first_model.isHidden()


@pytest.mark.parametrize("gigabytes_a_second", [5.0, 38.0])
def test_discover_begins_with_the_model_of_the_greeting(
    first: FirstRun, program: Program, hub: FakeHub, gigabytes_a_second: float
) -> None:
    program.services._hub = hub
    program.window.show_page(Page.DISCOVER)
    page = program.discover_page
    page.set_budget(MemoryBudget(14 * GB, 9 * GB), 16 * GB)
    hub.speed.changed.emit()
    speed = measured()
    types = tuple(dataclasses.replace(one, bytes_per_second=gigabytes_a_second * GB) for one in speed.types)
    hub.speed.end(dataclasses.replace(speed, types=types))
    greeted: list[str] = []
    program.chat_page.empty.first_model.show_wanted.connect(greeted.append)
    program.chat_page.empty.first_model.button.click()
    assert greeted == [page.search.results.rows[0].summary.id]


def test_the_list_does_not_move_away_from_what_was_opened_of_it(first, program: Program, hub: FakeHub) -> None:
    program.services._hub = hub
    program.window.show_page(Page.DISCOVER)
    page = program.discover_page
    page.set_budget(MemoryBudget(14 * GB, 9 * GB), 16 * GB)
    hub.speed.changed.emit()
    before = [row.summary.id for row in page.search.results.rows]
    page.show_repository(before[1])
    hub.speed.end(measured())
    assert [row.summary.id for row in page.search.results.rows] == before
    assert suggest(16 * GB, 4096, MemoryBudget(14 * GB, 9 * GB), measured(), 200).models[0].summary.id != before[0]


def test_the_button_shows_it_on_discover(first: FirstRun, program: Program, hub: FakeHub, monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(program.hub.browser, "open", opened.append)
    monkeypatch.setattr(program.hub.speed, "measure", lambda: None)
    monkeypatch.setattr(program.hub.fits, "warm_up", lambda: None)
    hub.speed.end(measured())
    program.chat_page.empty.first_model.button.click()
    assert opened == ["Qwen/Qwen3-8B-GGUF"]
    assert program.window.pages.currentIndex() == Page.DISCOVER


def test_nothing_begins_once_the_program_ends(first: FirstRun, program: Program, engine: FakeEngine) -> None:
    load_starter(program, engine)
    assert first.quiet.isActive()
    first.close()
    assert not first.quiet.isActive()
    engine.state_changed.emit(EngineState.READY)
    assert not first.quiet.isActive()


def test_the_end_of_the_program_closes_it(make, qtbot: QtBot) -> None:
    program = make()
    program._begin_hub()
    assert program._first_run is not None
    program.end()
    assert not program._first_run.quiet.isActive()
    program._first_run._wait()
    assert not program._first_run.quiet.isActive()
