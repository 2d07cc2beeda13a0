"""The transcript: few widgets, a steady place, the end that is followed, what a message says and offers."""

from __future__ import annotations

import dataclasses

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.chat.conversation import MessageState, StoredMessage
from app.engine.messages import Role
from tests.ui.fake_engine import SAMPLE_STATISTICS
from tests.ui.seen import button, lines
from ui.chat.code_view import LexerCallback, find_lexer
from ui.chat.message_body import MessageBody
from ui.chat.message_row import Note
from ui.chat.prose_view import PlainView
from ui.chat.transcript import Transcript

LONG_ANSWER = "Words of an answer that is a little longer.\n\n```python\nx = 1\n```\n\n" * 6


def request_lexer(language: str, callback: LexerCallback) -> None:
    callback(find_lexer(language))


@pytest.fixture
def transcript(qtbot: QtBot, theme: object) -> Transcript:
    transcript = Transcript(request_lexer)
    qtbot.addWidget(transcript)
    transcript.resize(800, 600)
    transcript.show()
    return transcript


def user(id_: int, text: str = "question", parent: int | None = None) -> StoredMessage:
    return StoredMessage(id_, parent, Role.USER, text, 0.0, sibling_ids=(id_,))


def answer(id_: int, text: str = "answer", parent: int | None = None, **values: object) -> StoredMessage:
    values.setdefault("sibling_ids", (id_,))
    return StoredMessage(id_, parent, Role.ASSISTANT, text, 0.0, "Qwen", **values)  # type: ignore[arg-type]


def conversation(count: int) -> tuple[StoredMessage, ...]:
    return tuple(answer(i, LONG_ANSWER) if i % 2 else user(i) for i in range(count))


def settle(qtbot: QtBot, transcript: Transcript) -> None:
    qtbot.waitUntil(lambda: transcript.is_settled, timeout=10_000)


def with_widgets(transcript: Transcript) -> list[int]:
    return [row.message.id for row in transcript.rows if row.widget is not None]


def test_a_long_conversation_opens_at_its_end_with_few_widgets(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(200))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    assert 199 in with_widgets(transcript)
    assert len(with_widgets(transcript)) < 20


@pytest.mark.parametrize(("count", "overflows"), [(1, False), (60, True)])
def test_the_scroll_bar_has_a_handle_only_where_something_overflows(
    transcript: Transcript, qtbot: QtBot, count: int, overflows: bool
) -> None:
    transcript.show_messages(conversation(count))
    settle(qtbot, transcript)
    assert transcript.verticalScrollBar().isEnabled() == overflows


def test_widgets_far_away_go(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(200))
    settle(qtbot, transcript)
    transcript.verticalScrollBar().setValue(0)
    settle(qtbot, transcript)
    assert 0 in with_widgets(transcript)
    assert 199 not in with_widgets(transcript)


def test_what_is_read_stays_in_place_while_rows_above_get_their_height(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(200))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settle(qtbot, transcript)
    first = next(row for row in transcript.rows if row.widget is not None and row.widget.geometry().bottom() > 0)
    place = first.widget.y()
    index = transcript.rows.index(first)
    transcript.rows[index - 30].height += 500
    transcript._arrange()
    assert first.widget.y() == place


def test_the_end_is_followed_while_an_answer_grows(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((*conversation(20), answer(50, "", state=MessageState.STREAMING)))
    settle(qtbot, transcript)
    transcript.stream(50, "A line.\n\n" * 60)
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    assert not transcript.jump.isVisible()


def test_one_who_reads_further_up_is_left_alone(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((*conversation(20), answer(50, "", state=MessageState.STREAMING)))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() - 600)
    settle(qtbot, transcript)
    place = bar.value()
    transcript.stream(50, "A line.\n\n" * 60)
    settle(qtbot, transcript)
    assert bar.value() == place
    assert transcript.jump.isVisible()
    transcript.jump.click()
    assert bar.value() == bar.maximum()


def test_many_tokens_are_drawn_in_few_ticks(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "", state=MessageState.STREAMING)))
    settle(qtbot, transcript)
    text = ""
    for _ in range(200):
        text += "word "
        transcript.stream(2, text)
    settle(qtbot, transcript)
    body = transcript.row(2).widget.body
    assert body.blocks[0].text == text.rstrip()
    assert body.blocks_written < 5


def test_the_end_of_an_answer_shows_its_statistics(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "", state=MessageState.STREAMING)))
    transcript.stream(2, "Yes.")
    settle(qtbot, transcript)
    assert not any("tokens/s" in line for line in lines(transcript.row(2).widget))
    transcript.update_message(answer(2, "Yes.", statistics=SAMPLE_STATISTICS))
    settle(qtbot, transcript)
    assert any("tokens/s" in line for line in lines(transcript.row(2).widget))
    assert not transcript.row(2).is_live


def test_what_was_left_out_stands_at_the_answer(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2)))
    settle(qtbot, transcript)
    transcript.set_left_out(2, "The oldest message was left out.")
    assert transcript.row(2).widget.left_out == "The oldest message was left out."


def test_what_was_left_out_is_still_said_when_the_chat_is_opened_later(transcript: Transcript, qtbot: QtBot) -> None:
    statistics = dataclasses.replace(SAMPLE_STATISTICS, left_out_messages=2)
    transcript.show_messages((user(1), answer(2, statistics=statistics)))
    settle(qtbot, transcript)
    assert transcript.row(2).widget.left_out.startswith("The 2 oldest messages were left out")


def test_a_note_offers_to_try_again(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "half", state=MessageState.INTERRUPTED)))
    settle(qtbot, transcript)
    transcript.set_note(2, Note("danger", "The engine was ended.", again=True))
    widget = transcript.row(2).widget
    assert widget.note == "The engine was ended."
    with qtbot.waitSignal(transcript.try_again_wanted) as wanted:
        button(widget, "Try again").click()
    assert wanted.args == [2]


def test_reasoning_is_folded_until_it_is_opened(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "<think>hm</think>yes", statistics=SAMPLE_STATISTICS)))
    settle(qtbot, transcript)
    widget = transcript.row(2).widget
    height = widget.height()
    assert widget.body.blocks[0].text == "yes"
    assert widget.reasoning.title.startswith("Reasoning · about")
    assert not widget.reasoning.is_open
    widget.reasoning.set_open(True)
    settle(qtbot, transcript)
    assert widget.height() > height
    assert widget.reasoning.findChild(MessageBody).blocks[0].text == "hm"


def test_reasoning_is_shown_while_it_is_written(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "", state=MessageState.STREAMING)))
    transcript.stream(2, "<think>let me")
    settle(qtbot, transcript)
    widget = transcript.row(2).widget
    assert widget.reasoning.title.startswith("Reasoning…")
    widget.reasoning.set_open(True)
    transcript.stream(2, "<think>let me see</think>It is")
    settle(qtbot, transcript)
    assert widget.reasoning.title.startswith("Reasoning · ")
    assert widget.reasoning.findChild(MessageBody).blocks[0].text == "let me see"
    assert widget.body.blocks[0].text == "It is"


def test_the_users_text_is_shown_as_typed(transcript: Transcript, qtbot: QtBot) -> None:
    text = "**not bold**\n  <b>x</b>"
    transcript.show_messages((user(1, text),))
    settle(qtbot, transcript)
    assert transcript.row(1).widget.findChild(PlainView).toPlainText() == text


def test_copy_leaves_the_reasoning_out(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "<think>hm</think>**yes**")))
    settle(qtbot, transcript)
    transcript.row(2).widget.buttons.button("copy").click()
    assert QGuiApplication.clipboard().text() == "**yes**"


@pytest.mark.parametrize(("step", "expected"), [("previous", 5), ("next", 9)])
def test_versions_of_a_message(transcript: Transcript, qtbot: QtBot, step: str, expected: int) -> None:
    transcript.show_messages((user(1), answer(7, sibling_ids=(5, 7, 9))))
    settle(qtbot, transcript)
    widget = transcript.row(7).widget
    assert "2/3" in lines(widget)
    with qtbot.waitSignal(transcript.sibling_wanted) as wanted:
        widget.buttons.button(step).click()
    assert wanted.args == [expected]


def test_buttons_wait_while_an_answer_is_written(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2)))
    settle(qtbot, transcript)
    transcript.set_actions_enabled(False)
    actions = transcript.row(1).widget.buttons
    assert not actions.button("edit").isEnabled()
    assert actions.button("copy").isEnabled()


def test_messages_can_be_reached_and_read_by_keyboard(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1, "why?"), answer(2, "because")))
    settle(qtbot, transcript)
    first, second = transcript.row(1).widget, transcript.row(2).widget
    second.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(second, Qt.Key.Key_Up)
    assert QGuiApplication.focusObject() is first
    assert first.accessibleName() == "You: why?"
    assert second.accessibleName() == "Answer from Qwen: because"
    qtbot.keyClick(first, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "why?"


def test_a_new_width_measures_again(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages((user(1), answer(2, "many words " * 80)))
    settle(qtbot, transcript)
    height = transcript.row(2).height
    transcript.resize(400, 600)
    settle(qtbot, transcript)
    assert transcript.row(2).height > height
    assert transcript.row(2).widget.width() < 400


def test_it_can_be_destroyed_while_a_message_has_the_focus(theme: object, qtbot: QtBot) -> None:
    transcript = Transcript(request_lexer)
    transcript.resize(800, 600)
    transcript.show()
    transcript.show_messages((user(1), answer(2)))
    settle(qtbot, transcript)
    transcript.row(2).widget.setFocus(Qt.FocusReason.TabFocusReason)
    shiboken6.delete(transcript)
    assert not shiboken6.isValid(transcript)
