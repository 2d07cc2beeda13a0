"""One click on Discover, with a real hub and real children: a model in the library, chosen, ready to chat."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.engine.messages import MachineSpeed, TensorSpeed
from app.fit.speed import SpeedBook, change_speed_book
from app.system.paths import Paths
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub
from tests.real_models import STDLIB_3M
from tests.ui.fake_engine import FakeEngine
from ui.look.theme import ThemeWatcher
from ui.models.models_model import ENTRY_ROLE
from ui.navigation import Page
from ui.program import Program
from workers.jobs import JobState, JobStatus

__all__ = ["hub"]

TIMEOUT_MS = 20_000
NAME = "me/stdlib"


@pytest.fixture
def program(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, hub: HubServer) -> Iterator[Program]:
    shutil.copytree(STDLIB_3M, hub.folder / NAME)
    change_speed_book(
        paths.speed, lambda _book: SpeedBook(MachineSpeed((TensorSpeed("Q4_K", 1e9),), 1e9, 0.1, 1, "2026-01-01"))
    )
    program = Program(paths, theme, engine)
    program.settings.update(hub_endpoint=hub.endpoint)
    qtbot.addWidget(program.window)
    program.show()
    qtbot.waitUntil(lambda: bool(program.models.entries), timeout=TIMEOUT_MS)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def open_repository(program: Program, qtbot: QtBot) -> QPushButton:
    """Shows what can be made; returns the button that makes a Q4."""
    program.window.show_page(Page.DISCOVER)
    page = program.discover_page
    page.search.chosen.emit(NAME)
    button = page.view.details.make.four.button
    qtbot.waitUntil(button.isEnabled, timeout=TIMEOUT_MS)
    return button


def test_one_click_and_it_can_be_chatted_with(program: Program, engine: FakeEngine, paths: Paths, qtbot: QtBot) -> None:
    button = open_repository(program, qtbot)
    shown = next(row.made for row in program.discover_page.view.table.model().rows if row.type == "Q4_K_M")
    button.click()
    qtbot.waitUntil(lambda: "is here" in program.window.notice.sentence, timeout=TIMEOUT_MS)
    made = paths.models / NAME / "stdlib-Q4_K_M.gguf"
    assert shown is not None
    assert made.stat().st_size == shown.size_bytes
    models = program.models_page
    qtbot.waitUntil(lambda: models.table.currentIndex().data(ENTRY_ROLE).path == made, timeout=TIMEOUT_MS)
    rows = program.discover_page.view.table.model().rows
    assert [row.state for row in rows] == ["here", "downloaded", "downloaded"]
    assert program.discover_page.view.details.action.text() == "Chat"
    program.discover_page.view.details.action.click()
    assert [call[1][0].path for call in engine.calls if call[0] == "load"][-1] == made


def test_a_cancelled_download_is_said_and_stands_in_the_strip(program: Program, hub: HubServer, qtbot: QtBot) -> None:
    ended: list[JobStatus] = []
    program.hub.jobs.ended.connect(ended.append)
    button = open_repository(program, qtbot)
    hub.add_fault(Fault.STALL, at=0.5, path="*.safetensors")
    button.click()
    qtbot.waitUntil(lambda: any(job.progress is not None for job in program.hub.jobs.jobs), timeout=TIMEOUT_MS)
    program.hub.jobs.cancel(program.hub.jobs.jobs[0].id)
    qtbot.waitUntil(lambda: bool(ended), timeout=TIMEOUT_MS)
    assert ended[0].state is JobState.CANCELLED
    assert "is kept" in program.window.notice.sentence
    assert len(program.window.strip.rows) == 1
    assert program.discover_page.view.details.action.text() == "Go on"
    assert button.isEnabled()
