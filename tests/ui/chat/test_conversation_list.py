"""The list of conversations: its keys, its rename, its search."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from app.chat.conversation import ConversationSummary
from ui.chat.conversation_list import ConversationList
from ui.chat.conversations import ConversationsModel


@pytest.fixture
def model(qapp: object) -> ConversationsModel:
    model = ConversationsModel()
    model.set_rows([ConversationSummary(f"id{i}", f"title {i}", time.time() - i * 90_000, "Qwen") for i in range(5)])
    return model


@pytest.fixture
def chats(qtbot: QtBot, model: ConversationsModel, theme: object) -> ConversationList:
    chats = ConversationList(model)
    qtbot.addWidget(chats)
    chats.resize(264, 500)
    chats.show()
    return chats


def test_enter_opens_and_delete_deletes(chats: ConversationList, model: ConversationsModel, qtbot: QtBot) -> None:
    chats.view.setCurrentIndex(model.index(2))
    with qtbot.waitSignal(chats.opened) as opened:
        qtbot.keyClick(chats.view, Qt.Key.Key_Return)
    with qtbot.waitSignal(chats.delete_wanted) as deleted:
        qtbot.keyClick(chats.view, Qt.Key.Key_Delete)
    assert opened.args == deleted.args == ["id2"]


def test_f2_renames_in_place(chats: ConversationList, model: ConversationsModel, qtbot: QtBot) -> None:
    chats.view.setCurrentIndex(model.index(1))
    qtbot.keyClick(chats.view, Qt.Key.Key_F2)
    editor = chats.view.findChild(QLineEdit)
    editor.setText("another name")
    with qtbot.waitSignal(model.rename_wanted) as wanted:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert wanted.args == ["id1", "another name"]


def test_search_waits_for_a_pause(chats: ConversationList, qtbot: QtBot) -> None:
    with qtbot.waitSignal(chats.search_changed) as changed:
        qtbot.keyClicks(chats.search, "json")
    assert changed.args == ["json"]


def test_down_goes_from_the_search_into_the_list(chats: ConversationList, qtbot: QtBot) -> None:
    chats.focus_search()
    qtbot.keyClick(chats.search, Qt.Key.Key_Down)
    assert chats.view.hasFocus()


def test_escape_empties_the_search(chats: ConversationList, qtbot: QtBot) -> None:
    chats.search.setText("json")
    qtbot.keyClick(chats.search, Qt.Key.Key_Escape)
    assert chats.search.text() == ""


def test_the_open_chat_is_marked(chats: ConversationList, model: ConversationsModel) -> None:
    chats.set_current("id3")
    assert chats.view.currentIndex().row() == 3
    chats.set_current("")
    assert not chats.view.selectionModel().hasSelection()


def test_an_empty_list_says_what_it_is(chats: ConversationList, model: ConversationsModel) -> None:
    model.set_rows([])
    assert "Your chats" in chats.empty.text()
    chats.search.setText("x")
    model.set_rows([], grouped=False)
    assert "No chat has these words" in chats.empty.text()


def test_the_menu_offers_everything(chats: ConversationList) -> None:
    words = [action.text() for action in chats.menu_for("id1").actions() if action.text()]
    assert [word.split("\t")[0] for word in words] == [
        "Rename",
        "Export to Markdown…",
        "Export to JSON…",
        "Delete",
    ]
