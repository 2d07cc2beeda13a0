"""When the models folders are read, and when they are not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.library import library as scanning
from app.settings import Theme
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each time that the folders were read."""
    found: list[object] = []
    scan = scanning.scan

    def counted(*arguments: object) -> object:
        found.append(arguments)
        return scan(*arguments)

    monkeypatch.setattr(scanning, "scan", counted)
    return found


@pytest.fixture
def program(
    qtbot: QtBot, paths: Paths, theme: ThemeWatcher, engine: FakeEngine, scans: list[object]
) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.window.show()
    program.window.show_page(Page.MODELS)
    with qtbot.waitSignal(program.library.figures_read):
        program.library.refresh()
    qtbot.waitUntil(lambda: len(program.models.entries) == 1)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def test_f9_a_theme_and_a_load_read_no_folder(program: Program, scans: list[object], qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: program.models_page.isVisible())
    before = len(scans)
    program.state.update(show_performance_panel=False)
    program.settings.update(theme=Theme.DARK)
    program.settings.update(context_tokens=2048)
    program.current.load(SAMPLE_MODEL.path)
    program.engine.step()
    assert program.state.current.last_model == str(SAMPLE_MODEL.path)
    with qtbot.waitSignal(program.library.figures_read):
        program.library.read_figures()  # whatever was begun before it has ended by then
    assert len(scans) == before
    program.current.unload()


def test_another_folder_is_read(program: Program, scans: list[object], qtbot: QtBot, tmp_path: Path) -> None:
    shutil.copy(STARTER_MODEL, tmp_path / "mine.gguf")
    before = len(scans)
    with qtbot.waitSignal(program.library.scanned):
        program.settings.update(model_folders=(str(tmp_path),))
    assert len(scans) == before + 1
    assert tmp_path / "mine.gguf" in [entry.path for entry in program.models.entries]


def test_a_look_that_comes_while_one_is_under_way_is_not_lost(
    program: Program, scans: list[object], qtbot: QtBot
) -> None:
    before = len(scans)
    for _ in range(3):
        program.library.refresh()
    qtbot.waitUntil(lambda: len(scans) == before + 2)
