"""The chat page with the real storage and an engine without a child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit
from pytestqt.qtbot import QtBot

from app.chat.conversation import MessageState
from app.engine.messages import LoadModel, Role
from app.errors import StorageError
from tests.ui.chat.chat_steps import begin, begin_held, contents, send, stored, titles, widget
from tests.ui.fake_engine import SAMPLE_MODEL, Answer, FakeEngine
from tests.ui.seen import lines
from ui.chat.conversations import BUSY_ROLE
from ui.chat.message_widget import AnswerMessage
from ui.chat.page import ChatPage
from workers.chat_storage import ChatStorage


def test_a_message_is_answered(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    assert page.stack.currentWidget() is page.empty
    send(qtbot, page, "hello")
    assert contents(page) == ["hello", "Yes."]
    assert page.composer.text == ""
    assert page.header.title.text() == "hello"
    qtbot.waitUntil(lambda: titles(page) == ["hello"])
    assert page.stack.currentWidget() is page.transcript


def test_shift_enter_is_a_new_line(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    page.composer.set_text("one")
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert page.composer.text == "one\n"
    assert not page.answering.busy


def test_enter_twice_sends_once(qtbot: QtBot, page: ChatPage) -> None:
    with qtbot.waitSignal(page.answering.finished):
        begin(qtbot, page, "hello")
        qtbot.keyClick(page.composer.field, Qt.Key.Key_Return)
    assert contents(page) == ["hello", "Yes."]
    assert not page.answering.busy


def test_what_is_typed_while_a_message_is_saved_stays(qtbot: QtBot, page: ChatPage) -> None:
    with qtbot.waitSignal(page.answering.finished):
        begin(qtbot, page, "hello")
        page.composer.set_text("hello and more")
    assert page.composer.text == "hello and more"


def test_without_a_model_the_text_stays(
    qtbot: QtBot, make_page: Callable[[FakeEngine], ChatPage], engine: FakeEngine
) -> None:
    page = make_page(engine)
    begin(qtbot, page, "keep me")
    assert page.composer.text == "keep me"
    assert "No model is loaded" in page.composer.status.text()
    assert contents(page) == []


def test_a_message_that_cannot_be_saved_stays_in_the_field(
    qtbot: QtBot, page: ChatPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise StorageError("Your message could not be saved: the disk is full.")

    monkeypatch.setattr("app.chat.store.ChatStore.add_user_message", refuse)
    begin(qtbot, page, "keep me")
    qtbot.waitUntil(lambda: bool(page.error.sentence))
    assert "disk is full" in page.error.sentence
    assert page.composer.text == "keep me"


def test_a_message_sent_while_loading_is_answered_after(
    qtbot: QtBot, make_page: Callable[[FakeEngine], ChatPage], engine: FakeEngine
) -> None:
    page = make_page(engine)
    engine.hold = True
    engine.load(LoadModel(SAMPLE_MODEL.path))
    begin(qtbot, page, "early")
    qtbot.waitUntil(lambda: contents(page) == ["early"])
    qtbot.waitUntil(lambda: "model is ready" in widget(qtbot, page, 0).note)
    with qtbot.waitSignal(page.answering.finished):
        engine.hold = False
        engine.step()
    assert contents(page) == ["early", "Yes."]
    assert widget(qtbot, page, 0).note == ""


def test_a_crash_keeps_the_text_and_offers_to_try_again(
    qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine, storage: ChatStorage
) -> None:
    begin_held(qtbot, page, loaded_engine, "hi", Answer(("Half an ", "answer", "!")))
    loaded_engine.step()
    loaded_engine.crash("The engine was ended by SIGKILL.")
    found = widget(qtbot, page, 1)
    assert contents(page) == ["hi", "Half an "]
    assert found.note == "The engine was ended by SIGKILL."
    assert page.conversation.path[-1].state is MessageState.INTERRUPTED
    loaded_engine.hold = False
    loaded_engine.load(LoadModel(SAMPLE_MODEL.path))
    qtbot.waitUntil(lambda: loaded_engine.model is not None)
    with qtbot.waitSignal(page.answering.finished):
        found.try_again.emit()
    assert contents(page) == ["hi", "Yes."]
    assert page.conversation.path[-1].sibling_number == 2


def test_a_message_left_without_an_answer_can_be_answered_later(
    qtbot: QtBot, page: ChatPage, storage: ChatStorage
) -> None:
    def leave_alone(store: Any) -> str:
        made = store.create()
        store.add_user_message(made.id, None, "are you there?")
        return made.id

    page.open(stored(qtbot, storage, leave_alone))
    qtbot.waitUntil(lambda: contents(page) == ["are you there?"])
    found = widget(qtbot, page, 0)
    assert "no answer" in found.note
    with qtbot.waitSignal(page.answering.finished):
        found.try_again.emit()
    assert contents(page) == ["are you there?", "Yes."]
    assert widget(qtbot, page, 0).note == ""


def test_stop_ends_the_answer(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    begin_held(qtbot, page, loaded_engine, "hi", Answer(("One ", "two ", "three")))
    loaded_engine.step()
    assert page.composer.button.accessibleName() == "Stop"
    with qtbot.waitSignal(page.answering.finished):
        loaded_engine.hold = False
        page.composer.button.click()
    assert ("stop", ()) in loaded_engine.calls
    assert contents(page) == ["hi", "One "]
    assert page.composer.button.accessibleName() == "Send"


def test_what_was_left_out_is_said_at_the_answer(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    loaded_engine.answers.append(Answer(left_out_messages=4))
    send(qtbot, page, "hi")
    found = widget(qtbot, page, 1)
    assert isinstance(found, AnswerMessage)
    assert found.left_out == "The 4 oldest messages were left out: they no longer fit in the context of 4,096 tokens."


def test_editing_a_message_makes_a_branch(
    qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine, storage: ChatStorage
) -> None:
    send(qtbot, page, "first")
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Up)
    assert page.composer.cancel_edit.isVisible()
    assert page.composer.text == "first"
    send(qtbot, page, "second thought")
    assert contents(page) == ["second thought", "Yes."]
    assert not page.composer.cancel_edit.isVisible()
    assert page.conversation.path[0].sibling_number == 2
    messages = stored(qtbot, storage, lambda store: store.all_messages(page.conversation.id))
    assert [m.content for m in messages if m.role is Role.USER] == ["first", "second thought"]
    page.transcript.sibling_wanted.emit(page.conversation.path[0].sibling_ids[0])
    qtbot.waitUntil(lambda: contents(page)[0] == "first")
    assert len(contents(page)) == 2


def test_escape_leaves_an_edit_and_brings_back_the_draft(qtbot: QtBot, page: ChatPage) -> None:
    send(qtbot, page, "first")
    page.composer.set_text("a draft")
    page.transcript.edit_wanted.emit(page.conversation.path[0].id)
    assert page.composer.text == "first"
    qtbot.keyClick(page.composer.field, Qt.Key.Key_Escape)
    assert page.composer.text == "a draft"
    assert not page.composer.cancel_edit.isVisible()


def test_answering_again_is_another_version(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    send(qtbot, page, "hi")
    loaded_engine.answers.append(Answer(("Another",)))
    with qtbot.waitSignal(page.answering.finished):
        page.transcript.regenerate_wanted.emit(page.conversation.path[1].id)
    assert contents(page) == ["hi", "Another"]
    assert page.conversation.path[1].sibling_number == 2
    assert "2/2" in lines(widget(qtbot, page, 1))


def test_a_branch_is_a_chat_of_its_own(qtbot: QtBot, page: ChatPage, storage: ChatStorage) -> None:
    send(qtbot, page, "one")
    send(qtbot, page, "two")
    old = page.conversation.id
    page.transcript.branch_wanted.emit(page.conversation.path[1].id)
    qtbot.waitUntil(lambda: page.conversation.id != old)
    assert contents(page) == ["one", "Yes."]
    assert len(stored(qtbot, storage, lambda store: store.get(old)).path) == 4


def test_an_answer_goes_on_in_its_own_chat(
    qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine, storage: ChatStorage
) -> None:
    send(qtbot, page, "other chat")
    other = page.conversation.id
    page.new_chat()
    begin_held(qtbot, page, loaded_engine, "slow", Answer(("One ", "two")))
    slow = page.conversation.id
    loaded_engine.step()
    page.open(other)
    qtbot.waitUntil(lambda: page.conversation.id == other)
    assert ("open_conversation", (other,)) in loaded_engine.calls
    qtbot.waitUntil(lambda: page.shelf.model.row_of(slow) >= 0)
    assert page.shelf.model.index(page.shelf.model.row_of(slow)).data(BUSY_ROLE)
    assert not page.shelf.model.index(page.shelf.model.row_of(other)).data(BUSY_ROLE)
    assert page.composer.button.accessibleName() == "Send"
    with qtbot.waitSignal(page.answering.finished):
        loaded_engine.hold = False
        loaded_engine.start()
    assert contents(page) == ["other chat", "Yes."]
    assert stored(qtbot, storage, lambda store: store.get(slow)).path[-1].content == "One two"


def test_coming_back_to_an_answer_that_is_written_shows_all_of_it(
    qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine
) -> None:
    send(qtbot, page, "other chat")
    other = page.conversation.id
    page.new_chat()
    begin_held(qtbot, page, loaded_engine, "slow", Answer(("One ", "two ", "three")))
    slow = page.conversation.id
    page.open(other)
    qtbot.waitUntil(lambda: page.conversation.id == other)
    loaded_engine.step()
    loaded_engine.step()
    page.open(slow)
    qtbot.waitUntil(lambda: page.conversation.id == slow)
    assert contents(page) == ["slow", "One two "]


def test_sampling_and_prompt_belong_to_the_chat(
    qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine, storage: ChatStorage
) -> None:
    page.panel.prompt.setPlainText("Be brief.")
    page.panel.preset.setCurrentText("Precise")
    send(qtbot, page, "hello")
    request = next(args[0] for name, args in loaded_engine.calls if name == "generate")
    assert (request.messages[0].role, request.messages[0].content) == (Role.SYSTEM, "Be brief.")
    assert request.sampling.temperature == pytest.approx(0.2)
    page.panel.numbers["temperature"].setValue(1.5)
    page.panel.flush()
    read = stored(qtbot, storage, lambda store: store.get(page.conversation.id))
    assert (read.sampling.temperature, read.preset) == (1.5, "")
    page.new_chat()
    assert page.panel.prompt.toPlainText() == ""
    assert page.panel.preset.currentText() == "Balanced"


def test_the_meter_counts_the_text_in_the_field(qtbot: QtBot, page: ChatPage, loaded_engine: FakeEngine) -> None:
    page.composer.set_text("word " * 100)
    qtbot.waitUntil(lambda: "of 4,096 tokens" in page.composer.meter.text() and "129" in page.composer.meter.text())


def test_a_link_is_shown_before_it_is_opened(qtbot: QtBot, page: ChatPage, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        "ui.chat.page.QDesktopServices.openUrl", lambda url: opened.append(url.toString()), raising=False
    )
    page.transcript.address_clicked.emit("https://example.org/x")
    assert "https://example.org/x" in page.notice.sentence
    assert opened == []
    page.notice.buttons()["Open"].click()
    assert opened == ["https://example.org/x"]


def test_an_example_question_is_sent(qtbot: QtBot, page: ChatPage) -> None:
    question = page.empty.questions[0].text()
    with qtbot.waitSignal(page.answering.finished):
        page.empty.questions[0].click()
    assert contents(page)[0] == question


def test_every_control_has_a_name(qtbot: QtBot, page: ChatPage) -> None:
    send(qtbot, page, "hello")
    page.panel.show()
    for kind in (QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit):
        for control in page.findChildren(kind):
            named = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
            inside = control.parent().inherits("QAbstractSpinBox") or control.parent().inherits("QLineEdit")
            assert named or inside, f"{control} in {control.parent()}"
