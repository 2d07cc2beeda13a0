"""The Markdown of one message as views: what a tick writes, what the end writes, how work is cut into slices."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from tests.ui.chat.chat_steps import blocks_of, colours, views
from ui.chat.code_view import CodeView, LexerCallback, find_lexer
from ui.chat.markdown_stream import Code, Paragraph, Table
from ui.chat.message_body import MessageBody
from ui.chat.prose_view import ProseView, TableView
from ui.look.theme import color

NEVER, LONG = 0.0, float("inf")
TEXT = (
    "# Title\n\nSome *text* with `code`.\n\n- one\n- two\n\n  ```python\n  x = 1\n  ```\n\n3. three\n\n> quote\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\nlast words\n\n```rust\nfn main() {}\n```\n"
)


def request_lexer(language: str, callback: LexerCallback) -> None:
    callback(find_lexer(language))


@pytest.fixture
def body(qtbot: QtBot, theme: object) -> MessageBody:
    body = MessageBody(request_lexer)
    qtbot.addWidget(body)
    return body


def shown(body: MessageBody) -> list[str]:
    """What the views hold, in order, look included."""
    return [view.text if isinstance(view, CodeView) else view.document().toHtml() for view in views(body)]


def finished(qtbot: QtBot, text: str) -> MessageBody:
    body = MessageBody(request_lexer)
    qtbot.addWidget(body)
    body.set_text(text)
    assert body.work(LONG)
    return body


def test_a_streamed_text_looks_like_a_finished_one(body: MessageBody, qtbot: QtBot) -> None:
    for start in range(0, len(TEXT), 3):
        body.feed(TEXT[start : start + 3])
    body.set_text(TEXT)
    assert body.work(LONG)
    whole = finished(qtbot, TEXT)
    assert tuple(body.blocks) == blocks_of(TEXT)
    assert shown(body) == shown(whole)


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_paragraph_that_grows_looks_like_a_finished_one(body: MessageBody, qtbot: QtBot, step: int) -> None:
    text = "Emoji 😀 **bold 👩‍👩‍👧** and `code`, *em* [link](https://example.org) ~~gone~~ end **open"
    for start in range(0, len(text), step):
        body.feed(text[start : start + step])
    assert shown(body) == shown(finished(qtbot, text))


def test_views_are_of_three_kinds(body: MessageBody) -> None:
    body.set_text(TEXT)
    body.work(LONG)
    kinds = [type(view) for view in views(body)]
    assert kinds == [ProseView, CodeView, ProseView, TableView, ProseView, CodeView]
    assert sum(isinstance(b, Table) for b in body.blocks) == 1


def test_a_tick_writes_the_last_block_only(body: MessageBody) -> None:
    body.feed("A paragraph of words.\n\n" * 300)
    before = body.blocks_written
    body.feed("More ")
    body.feed("and more.")
    assert body.blocks_written - before == 2
    assert len(body.blocks) == 301


def test_the_count_would_show_a_rendering_of_everything(body: MessageBody) -> None:
    body.feed("A paragraph of words.\n\n" * 300)
    before = body.blocks_written
    body.restart()
    body.feed("A paragraph of words.\n\n" * 300 + "More")
    assert body.blocks_written - before == 301


def test_the_end_writes_nothing_again(body: MessageBody) -> None:
    body.feed(TEXT)
    before = body.blocks_written
    body.set_text(TEXT)
    body.work(LONG)
    assert body.blocks_written == before


def test_the_end_mends_a_link_whose_definition_came_last(body: MessageBody) -> None:
    text = "See [docs].\n\nwords\n\n[docs]: https://example.org\n"
    body.feed(text[:20])
    body.feed(text[20:])
    body.set_text(text)
    body.work(LONG)
    assert tuple(body.blocks) == blocks_of(text)
    assert "https://example.org" in shown(body)[0]


def test_work_ends_at_its_deadline_and_goes_on_later(body: MessageBody) -> None:
    body.set_text("words words words\n\n" * 400)
    steps = 0
    while not body.work(NEVER):
        steps += 1
    assert steps > 20
    assert len(body.blocks) == 400


def test_code_that_grows_keeps_its_view(body: MessageBody) -> None:
    body.feed("```python\nx = 1\n")
    view = views(body)[0]
    body.feed("y = 2\n")
    assert views(body)[0] is view
    assert isinstance(view, CodeView)
    assert view.text == "x = 1\ny = 2"


def test_code_that_grew_has_the_colours_of_finished_code(body: MessageBody, qtbot: QtBot) -> None:
    code = 'def f():\n    """Doc\n    more."""\n    return [1, "a"]\n\n\nclass A:\n    pass\n' * 3
    body.feed("```python\n")
    for start in range(0, len(code), 7):
        body.feed(code[start : start + 7])
        body.work(LONG)
    body.set_text(f"```python\n{code}```\n")
    body.work(LONG)
    whole = finished(qtbot, f"```python\n{code}```\n")
    grown, fresh = views(body)[0], views(whole)[0]
    assert colours(grown) == colours(fresh)
    assert (0, 3, color("code_keyword").name()) in colours(grown)[0]


def test_html_of_the_model_is_words(body: MessageBody) -> None:
    text = "<script>alert(1)</script> <img src='https://example.org/x.png'>"
    body.set_text(text)
    body.work(LONG)
    assert views(body)[0].toPlainText() == text
    assert "&lt;script&gt;" in shown(body)[0]


def test_nothing_is_fetched(body: MessageBody) -> None:
    body.set_text("![x](https://example.org/x.png)")
    body.work(LONG)
    assert "<img" not in shown(body)[0]
    assert views(body)[0].loadResource(2, "https://example.org/x.png") is None


def test_a_link_is_handed_out_and_not_opened(body: MessageBody, qtbot: QtBot) -> None:
    body.set_text("[x](https://example.org/x)")
    body.work(LONG)
    view = views(body)[0]
    assert not view.openLinks()
    assert not view.openExternalLinks()
    with qtbot.waitSignal(body.address_clicked) as clicked:
        view.anchorClicked.emit("https://example.org/x")
    assert clicked.args == ["https://example.org/x"]


def test_copying_code_copies_the_code(body: MessageBody) -> None:
    body.set_text("```python\nx = 1\n\ny = 2\n```")
    body.work(LONG)
    views(body)[0].findChild(QToolButton).click()
    assert QGuiApplication.clipboard().text() == "x = 1\n\ny = 2"


def test_heights_follow_the_width(body: MessageBody) -> None:
    body.set_text("many words that need a line of their own " * 20)
    body.work(LONG)
    assert body.arrange(300) > body.arrange(700) > 0


def test_a_long_word_does_not_widen_the_view(body: MessageBody) -> None:
    body.set_text("x" * 2000)
    body.work(LONG)
    body.arrange(400)
    assert views(body)[0].document().size().width() <= 400


def test_indented_code_stands_under_its_item(body: MessageBody) -> None:
    body.set_text("- item\n\n  ```\n  code\n  ```\n")
    body.work(LONG)
    body.arrange(500)
    assert isinstance(body.blocks[1], Code)
    assert isinstance(body.blocks[0], Paragraph)
    assert views(body)[1].x() > views(body)[0].x()
