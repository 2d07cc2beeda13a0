"""What the tests of the chat page do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit
from pytestqt.qtbot import QtBot

from tests.ui.fake_engine import Answer, FakeEngine
from ui.chat.code_view import CodeView
from ui.chat.markdown_stream import Block, render
from ui.chat.message_body import MessageBody
from ui.chat.message_widget import MessageWidget
from ui.chat.page import ChatPage
from ui.chat.prose_view import ProseView, TableView
from workers.chat_storage import ChatStorage


def send(qtbot: QtBot, page: ChatPage, text: str) -> None:
    """Type it, press Enter, wait for the end of the answer."""
    with qtbot.waitSignal(page.answering.finished):
        begin(qtbot, page, text)
    settle(qtbot, page)


def begin(qtbot: QtBot, page: ChatPage, text: str) -> None:
    page.composer.set_text(text)
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Return)


def begin_held(qtbot: QtBot, page: ChatPage, engine: FakeEngine, text: str, answer: Answer) -> None:
    engine.hold = True
    engine.answers.append(answer)
    begin(qtbot, page, text)
    qtbot.waitUntil(lambda: page.answering.current is not None)


def settle(qtbot: QtBot, page: ChatPage) -> None:
    qtbot.waitUntil(lambda: page.transcript.is_settled, timeout=10_000)


def contents(page: ChatPage) -> list[str]:
    return [row.text for row in page.transcript.rows]


def widget(qtbot: QtBot, page: ChatPage, index: int) -> MessageWidget:
    settle(qtbot, page)
    found = page.transcript.rows[index].widget
    assert found is not None
    return found


def blocks_of(text: str) -> tuple[Block, ...]:
    """The blocks of a finished text."""
    return tuple(block for step in render(text) for block in step)


def stored(qtbot: QtBot, storage: ChatStorage, function: Callable[[Any], Any]) -> Any:
    results: list[Any] = []
    storage.run(function, results.append)
    qtbot.waitUntil(lambda: bool(results))
    return results[0]


def titles(page: ChatPage) -> list[str]:
    model = page.shelf.model
    return [model.index(row).data() for row in range(model.rowCount())]


def views(body: MessageBody) -> list[ProseView | TableView | CodeView]:
    """What a message is made of, from the top down. Views that were replaced are hidden until they are deleted."""
    return [one for one in body.children() if isinstance(one, ProseView | TableView | CodeView) and not one.isHidden()]


def colours(view: CodeView) -> list[list[tuple[int, int, str]]]:
    """Of each line of the code: where a colour begins, over how many characters it goes, and which it is."""
    document = view.findChild(QPlainTextEdit).document()
    lines = (document.findBlockByNumber(number).layout().formats() for number in range(document.blockCount()))
    return [[(one.start, one.length, one.format.foreground().color().name()) for one in line] for line in lines]
