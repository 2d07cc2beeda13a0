"""Everything of the chat page is reached with the Tab key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from tests.ui.fake_engine import FakeEngine
from ui.chat.page import ChatPage
from workers.chat_storage import ChatStorage
from workers.tasks import TaskRunner


@pytest.fixture
def page(
    qtbot: QtBot, loaded_engine: FakeEngine, storage: ChatStorage, settings: Any, tasks: TaskRunner, theme: object
) -> Iterator[ChatPage]:
    window = QWidget()
    page = ChatPage(loaded_engine, storage, settings, tasks)
    column = QVBoxLayout(window)
    column.addWidget(QPushButton("Something outside the page"))
    column.addWidget(page)
    qtbot.addWidget(window)
    window.resize(1280, 760)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield page
    storage.close()
    tasks.close()


def round_of_tab(qtbot: QtBot, start: QWidget) -> list[QWidget]:
    met: list[QWidget] = []
    while (here := QApplication.focusWidget()) is not None and (not met or here is not start) and len(met) < 60:
        met.append(here)
        qtbot.keyClick(here, Qt.Key.Key_Tab)
    return met


def test_the_page_gives_the_focus_to_the_message_field(page: ChatPage) -> None:
    page.setFocus()
    assert QApplication.focusWidget() is page.composer.field


def test_tab_reaches_all(page: ChatPage, qtbot: QtBot) -> None:
    page.setFocus()
    met = round_of_tab(qtbot, page.composer.field)
    names = {widget.accessibleName() or getattr(widget, "text", str)().strip() for widget in met}
    assert set(page.empty.questions) | {page.header.list_button, page.header.settings} <= set(met)
    assert {"New chat", "Search chats"} <= names, names
    assert "Something outside the page" in names
    assert page not in met


def test_tab_goes_through_the_last_message_and_its_buttons_round_after_round(page: ChatPage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.answering.finished):
        page.composer.set_text("Hello")
        page.composer.button.click()
    qtbot.waitUntil(lambda: page.transcript.is_settled)
    page.setFocus()
    round_of_tab(qtbot, page.composer.field)
    met = round_of_tab(qtbot, page.composer.field)
    names = [widget.accessibleName() or getattr(widget, "text", str)() for widget in met]
    answer = next(index for index, name in enumerate(names) if name.startswith("Answer from"))
    assert names[answer + 1 :][:3] == ["Copy message", "Answer again", "New chat from here"]
    assert met[0] is page.composer.field
    assert {"Search chats", "Conversations", "Something outside the page"} <= set(names)


def test_escape_closes_the_settings_of_the_chat_wherever_the_focus_is(page: ChatPage, qtbot: QtBot) -> None:
    fields = [*page.panel.findChildren(QPlainTextEdit), *page.panel.findChildren(QAbstractSpinBox)]
    assert len(fields) >= 3
    for field in (page.composer.field, page.header.settings, page.transcript, *fields):
        page.header.settings.setChecked(True)
        assert page.panel.isVisible()
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_Escape)
        assert page.panel.isHidden(), field
        assert not page.header.settings.isChecked()
        assert QApplication.focusWidget() is page.composer.field


def test_escape_leaves_an_edited_message_before_it_closes_the_settings(page: ChatPage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.answering.finished):
        page.composer.set_text("Hello")
        page.composer.button.click()
    page.header.settings.setChecked(True)
    page.composer.field.setFocus()
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Up)
    assert page.composer.cancel_edit.isVisible()
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Escape)
    assert not page.composer.cancel_edit.isVisible()
    assert page.panel.isVisible()
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Escape)
    assert page.panel.isHidden()
