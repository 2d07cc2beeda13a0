"""The About page shows what it is told, asks for it when it is seen, and what it copies holds nothing of the user's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app import __version__
from app.system.paths import Paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from ui.settings.about_page import AboutPage, make_about_page
from workers.tasks import TaskRunner

TIMEOUT_MS = 20_000


@pytest.fixture
def page(qtbot: QtBot, tasks: TaskRunner, loaded_engine: FakeEngine, paths: Paths, monkeypatch) -> AboutPage:
    monkeypatch.setattr("ui.settings.about_page.licences_text", lambda: "All the licences")
    page = make_about_page(SimpleNamespace(paths=paths, tasks=tasks, engine=loaded_engine))
    qtbot.addWidget(page)
    return page


def test_nothing_is_asked_before_it_is_seen(page: AboutPage, qtbot: QtBot) -> None:
    assert page.versions.values == {}
    page.show()
    qtbot.waitUntil(lambda: page.licences.toPlainText() == "All the licences", timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: "Processor" in page.machine.values, timeout=TIMEOUT_MS)
    assert page.versions.values["Bantam"].text() == __version__
    assert set(page.machine.values) == {"Processor", "It can compute with", "Cores", "Memory"}


def test_the_licences_are_collected_once(page: AboutPage, qtbot: QtBot) -> None:
    page.show()
    page.hide()
    with qtbot.assertNotEmitted(page.licences_wanted):
        page.show()


def test_diagnostics_are_copied_and_that_is_said(page: AboutPage, qtbot: QtBot, tmp_path: Path) -> None:
    page.copy.click()
    qtbot.waitUntil(lambda: bool(page.copied.text()), timeout=TIMEOUT_MS)
    text = QGuiApplication.clipboard().text()
    assert f"Bantam: {__version__}" in text
    assert f"Model: {SAMPLE_MODEL.name}" in text
    assert "Window system: offscreen" in text
    assert str(tmp_path) not in text


def test_a_model_named_by_its_path_is_named_without_it(
    page: AboutPage, qtbot: QtBot, loaded_engine: FakeEngine
) -> None:
    assert loaded_engine.model is not None
    page.copy.click()
    qtbot.waitUntil(lambda: bool(page.copied.text()), timeout=TIMEOUT_MS)
    assert str(loaded_engine.model.path.parent) not in QGuiApplication.clipboard().text()


def test_where_the_data_stays_is_said(page: AboutPage, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        "ui.settings.about_page.QDesktopServices.openUrl", lambda address: opened.append(address.toLocalFile())
    )
    page.folder.click()
    assert opened == [str(paths.home)]


def test_a_drawn_line_between_licences_is_not_wrapped(page: AboutPage, theme: object) -> None:
    page.resize(540, 600)
    page.show()

    def lines() -> list[int]:
        document = page.licences.document()
        blocks = [document.findBlockByNumber(number) for number in range(document.blockCount())]
        return [document.documentLayout().blockBoundingRect(b).height() > 0 and b.layout().lineCount() for b in blocks]

    rule = "=" * 100
    page.licences.setPlainText(f"{rule}\nPySide6\n{rule}\nA == B")
    assert lines()[0] > 1, "the test sees a line that is wrapped"
    page.show_licences(f"{rule}\nPySide6\n{'-' * 79}\nA == B {rule}")
    assert lines()[:3] == [1, 1, 1]
    assert page.licences.toPlainText().endswith(f"A == B {rule}"), "text is as it was"
