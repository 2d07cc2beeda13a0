"""The chats of the list, on the page with the real storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.ui.chat.chat_steps import contents, send, titles
from tests.ui.fake_engine import Answer, FakeEngine
from ui.chat.conversations import SUMMARY_ROLE, export
from ui.chat.page import ChatPage
from workers.chat_storage import ChatStorage


def test_drafts_are_kept_for_each_chat(qtbot: QtBot, page: ChatPage) -> None:
    send(qtbot, page, "one")
    first = page.conversation.id
    page.composer.set_text("draft of one")
    page.new_chat()
    assert page.composer.text == ""
    page.composer.set_text("draft of new")
    page.open(first)
    qtbot.waitUntil(lambda: page.conversation.id == first)
    assert page.composer.text == "draft of one"
    page.new_chat()
    assert page.composer.text == "draft of new"


def test_a_deleted_chat_can_be_brought_back(qtbot: QtBot, page: ChatPage) -> None:
    send(qtbot, page, "precious")
    id_ = page.conversation.id
    qtbot.waitUntil(lambda: titles(page) == ["precious"])
    page.list.delete(id_)
    qtbot.waitUntil(lambda: titles(page) == [])
    assert page.conversation.id == ""
    assert "precious" in page.list.undo.sentence
    page.list.undo.buttons()["Undo"].click()
    qtbot.waitUntil(lambda: titles(page) == ["precious"])
    qtbot.waitUntil(lambda: contents(page) == ["precious", "Yes."])


def test_search_finds_words_in_messages(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    loaded_engine.answers.append(Answer(("about zebras",)))
    send(qtbot, page, "animals")
    page.new_chat()
    send(qtbot, page, "plants")
    page.list.search.setText("zebra")
    qtbot.waitUntil(lambda: titles(page) == ["animals"])
    assert "zebras" in page.shelf.model.index(0).data(SUMMARY_ROLE).snippet
    page.list.search.setText("")
    qtbot.waitUntil(lambda: titles(page) == ["plants", "animals"])


def test_renaming_in_the_list_renames_the_open_chat(qtbot: QtBot, page: ChatPage) -> None:
    send(qtbot, page, "hello")
    qtbot.waitUntil(lambda: titles(page) == ["hello"])
    page.shelf.model.setData(page.shelf.model.index(0), "A better name")
    qtbot.waitUntil(lambda: titles(page) == ["A better name"])
    qtbot.waitUntil(lambda: page.header.title.text() == "A better name")


@pytest.mark.parametrize(("kind", "words"), [("markdown", "# hello"), ("json", '"format": "bantam-conversation"')])
def test_export(qtbot: QtBot, page: ChatPage, tmp_path: Path, kind: str, words: str) -> None:
    send(qtbot, page, "hello")
    path = tmp_path / "chat"
    with qtbot.waitSignal(page.shelf.exported):
        page.shelf.export(page.conversation.id, kind, path)
    assert words in path.read_text()


def test_an_export_that_fails_says_where(qtbot: QtBot, page: ChatPage, storage: ChatStorage, tmp_path: Path) -> None:
    send(qtbot, page, "hello")
    with qtbot.waitSignal(page.shelf.failed) as failed:
        page.shelf.export(page.conversation.id, "json", tmp_path / "missing" / "chat.json")
    assert "could not be exported" in failed.args[0]
    assert export.__doc__
