"""What is typed and not sent is there again: in each conversation, and after the window was closed or killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.chat.store import load_unsent
from app.errors import StorageError
from tests.ui.chat.chat_steps import begin, contents, send, stored
from tests.ui.fake_engine import FakeEngine
from ui.chat.page import ChatPage
from workers.chat_storage import ChatStorage


def on_disk(qtbot: QtBot, storage: ChatStorage) -> dict[str, str]:
    return stored(qtbot, storage, load_unsent)


def open_chat(qtbot: QtBot, page: ChatPage, id_: str) -> None:
    page.open(id_)
    qtbot.waitUntil(lambda: page.conversation.id == id_)


def test_typing_alone_saves_it(qtbot: QtBot, page: ChatPage, storage: ChatStorage) -> None:
    """Nothing is closed here: so it is there after a kill."""
    qtbot.keyClicks(page.composer.field, "half a question")
    qtbot.waitUntil(lambda: on_disk(qtbot, storage) == {"": "half a question"})


def test_each_conversation_has_its_own(
    qtbot: QtBot, make_page: Callable[[FakeEngine], ChatPage], page: ChatPage, storage: ChatStorage
) -> None:
    send(qtbot, page, "first")
    first = page.conversation.id
    page.composer.set_text("in the first")
    page.new_chat()
    assert page.composer.text == ""
    page.composer.set_text("in a new one")
    page.unsent.flush()
    later = make_page(FakeEngine())
    qtbot.waitUntil(lambda: later.composer.text == "in a new one")
    open_chat(qtbot, later, first)
    assert later.composer.text == "in the first"
    later.new_chat()
    assert later.composer.text == "in a new one"


def test_what_was_sent_does_not_come_back(qtbot: QtBot, page: ChatPage, storage: ChatStorage) -> None:
    page.composer.set_text("hello")
    page.unsent.flush()
    assert on_disk(qtbot, storage) == {"": "hello"}
    send(qtbot, page, "hello")
    assert on_disk(qtbot, storage) == {}


def test_what_is_typed_while_a_first_message_is_saved_belongs_to_its_chat(
    qtbot: QtBot, page: ChatPage, storage: ChatStorage
) -> None:
    with qtbot.waitSignal(page.answering.finished):
        begin(qtbot, page, "hello")
        page.composer.set_text("hello and more")
    page.unsent.flush()
    assert on_disk(qtbot, storage) == {page.conversation.id: "hello and more"}


def test_an_edited_message_is_not_what_was_typed(qtbot: QtBot, page: ChatPage, storage: ChatStorage) -> None:
    send(qtbot, page, "old question")
    page.composer.set_text("typed before")
    page._on_edit_last()
    page.composer.set_text("old question, better")
    page.unsent.flush()
    assert on_disk(qtbot, storage) == {page.conversation.id: "typed before"}
    with qtbot.waitSignal(page.answering.finished):
        qtbot.keyClick(page.composer.field, Qt.Key.Key_Return)
    assert contents(page)[0] == "old question, better"
    assert page.composer.text == "typed before"


def test_a_user_who_is_quicker_than_the_disk_keeps_what_he_types(
    qtbot: QtBot, make_page: Callable[[FakeEngine], ChatPage], page: ChatPage, storage: ChatStorage
) -> None:
    page.composer.set_text("old")
    page.unsent.flush()
    later = make_page(FakeEngine())
    later.composer.set_text("new")
    stored(qtbot, storage, lambda store: store.ids())  # the old text has been read by then
    later.unsent.load()
    stored(qtbot, storage, lambda store: store.ids())
    assert later.composer.text == "new"


def test_a_full_disk_is_told_once(
    qtbot: QtBot, page: ChatPage, storage: ChatStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("What you are typing could not be saved: no space.")

    told: list[str] = []
    page.unsent.failed.connect(lambda sentence, _: told.append(sentence))
    monkeypatch.setattr("ui.chat.composer.save_unsent", refuse)
    for text in ("a", "ab"):
        page.composer.set_text(text)
        page.unsent.flush()
        stored(qtbot, storage, lambda store: store.ids())
    assert told == ["What you are typing could not be saved: no space."]
    assert "could not be saved" in page.error.sentence
