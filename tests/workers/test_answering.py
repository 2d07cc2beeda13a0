"""Saved first, then answered: the order, the failures, the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.chat.conversation import Conversation, MessageState
from app.engine.messages import LoadModel, Role, StopReason
from app.errors import StorageError
from tests.ui.fake_engine import SAMPLE_MODEL, Answer, FakeEngine
from workers.answering import Answering
from workers.chat_storage import ChatStorage

LOAD = LoadModel(SAMPLE_MODEL.path)


def stored(qtbot: QtBot, storage: ChatStorage, function: Callable[[Any], Any]) -> Any:
    """The result of a function of the store, waited for."""
    results: list[Any] = []
    storage.run(function, results.append)
    qtbot.waitUntil(lambda: bool(results))
    return results[0]


@pytest.fixture
def conversation(qtbot: QtBot, storage: ChatStorage) -> Conversation:
    return stored(qtbot, storage, lambda store: store.create())


@pytest.fixture
def answering(loaded_engine: FakeEngine, storage: ChatStorage) -> Iterator[Answering]:
    service = Answering(loaded_engine, storage)
    yield service
    shiboken6.delete(service)  # and with it the timer of an answer that was not finished


def path(qtbot: QtBot, storage: ChatStorage, conversation: Conversation) -> list[tuple[Role, str, MessageState]]:
    read = stored(qtbot, storage, lambda store: store.get(conversation.id))
    return [(message.role, message.content, message.state) for message in read.path]


def test_the_message_is_on_the_disk_before_the_engine_is_asked(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    order: list[str] = []
    calls = loaded_engine.generate
    loaded_engine.generate = lambda request: (order.append("generate"), calls(request))  # type: ignore[assignment]
    run = storage.run

    def watched(function: Any, on_result: Any = None, on_error: Any = None) -> None:
        def noted(store: Any) -> Any:
            add = store.add_user_message

            def add_and_note(*args: Any) -> Any:
                message = add(*args)
                order.append("committed")
                return message

            store.add_user_message = add_and_note
            try:
                return function(store)
            finally:
                del store.add_user_message

        run(noted, on_result, on_error)

    storage.run = watched  # type: ignore[method-assign]
    with qtbot.waitSignals([answering.message_added, answering.message_added, answering.finished], order="strict"):
        answering.send(conversation.id, None, "hello")
    assert order == ["committed", "generate"]


def test_a_message_that_cannot_be_saved_is_not_sent(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine
) -> None:
    with qtbot.waitSignal(answering.not_saved) as failed:
        answering.send("no such chat", None, "hello")
    assert failed.args[0] == "hello"
    assert not [name for name, _ in loaded_engine.calls if name == "generate"]


def test_an_answer_ends_up_on_the_disk_with_its_statistics(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    loaded_engine.answers.append(Answer(("Hel", "lo")))
    with qtbot.waitSignal(answering.finished):
        answering.send(conversation.id, None, "hi")
    assert path(qtbot, storage, conversation) == [
        (Role.USER, "hi", MessageState.COMPLETE),
        (Role.ASSISTANT, "Hello", MessageState.COMPLETE),
    ]
    last = stored(qtbot, storage, lambda store: store.get(conversation.id)).path[-1]
    assert last.statistics is not None
    assert last.model_name == SAMPLE_MODEL.name


def test_a_half_written_answer_is_saved_on_the_way(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    loaded_engine.hold = True
    loaded_engine.answers.append(Answer(("Hel", "lo", "!")))
    answering.send(conversation.id, None, "hi")
    qtbot.waitUntil(lambda: answering.current is not None)
    loaded_engine.step()
    answering._saver.timeout.emit()
    assert path(qtbot, storage, conversation)[-1] == (Role.ASSISTANT, "Hel", MessageState.STREAMING)


def test_a_crash_keeps_what_there_was(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    loaded_engine.hold = True
    loaded_engine.answers.append(Answer(("Hel", "lo", "!")))
    answering.send(conversation.id, None, "hi")
    qtbot.waitUntil(lambda: answering.current is not None)
    loaded_engine.step()
    sentences: list[str] = []
    answering.problem.connect(lambda _id, _message, sentence: sentences.append(sentence))
    with qtbot.waitSignals([answering.finished, answering.problem], order="strict"):
        loaded_engine.crash("It died.")
    assert sentences == ["It died."]
    assert path(qtbot, storage, conversation)[-1] == (Role.ASSISTANT, "Hel", MessageState.INTERRUPTED)
    assert not answering.busy


def test_a_stop_marks_the_answer(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    loaded_engine.hold = True
    answering.send(conversation.id, None, "hi")
    qtbot.waitUntil(lambda: answering.current is not None)
    loaded_engine.step()
    answering.stop(conversation.id)
    with qtbot.waitSignal(answering.finished) as finished:
        loaded_engine.hold = False
        loaded_engine.step()
    message = finished.args[1]
    assert (message.content, message.state) == ("Yes", MessageState.INTERRUPTED)
    assert loaded_engine.calls[-1] == ("stop", ())
    assert message.statistics is not None
    assert message.statistics.stop_reason is StopReason.STOPPED


def test_a_stop_before_the_engine_was_asked_asks_nothing(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    message = stored(qtbot, storage, lambda store: store.add_user_message(conversation.id, None, "hi"))
    with qtbot.waitSignal(answering.finished):
        answering.answer(conversation.id, message.id)
        answering.stop(conversation.id)
    assert not [name for name, _ in loaded_engine.calls if name == "generate"]
    assert not answering.busy


def test_messages_wait_while_the_model_is_loaded(
    qtbot: QtBot, storage: ChatStorage, engine: FakeEngine, conversation: Conversation
) -> None:
    answering = Answering(engine, storage)
    engine.hold = True
    engine.load(LOAD)
    with qtbot.waitSignal(answering.waiting) as waiting:
        answering.send(conversation.id, None, "hi")
    assert "model is ready" in waiting.args[2]
    with qtbot.waitSignal(answering.finished):
        engine.hold = False
        engine.step()
    assert path(qtbot, storage, conversation)[-1][1] == "Yes."


def test_without_a_model_the_message_is_kept_and_said_to_be_unanswered(
    qtbot: QtBot, storage: ChatStorage, engine: FakeEngine, conversation: Conversation
) -> None:
    answering = Answering(engine, storage)
    with qtbot.waitSignal(answering.problem) as problem:
        answering.send(conversation.id, None, "hi")
    assert "No model is loaded" in problem.args[2]
    assert path(qtbot, storage, conversation) == [(Role.USER, "hi", MessageState.COMPLETE)]
    assert not answering.busy


def test_a_second_conversation_waits_its_turn(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    other = stored(qtbot, storage, lambda store: store.create())
    loaded_engine.hold = True
    answering.send(conversation.id, None, "one")
    qtbot.waitUntil(lambda: answering.current is not None)
    answering.send(other.id, None, "two")
    qtbot.waitUntil(lambda: answering.busy == {conversation.id, other.id})
    finished: list[str] = []
    answering.finished.connect(lambda id_, _message: finished.append(id_))
    with qtbot.waitSignals([answering.finished, answering.finished]):
        loaded_engine.hold = False
        loaded_engine.start()
    assert finished == [conversation.id, other.id]


def test_the_engine_gets_the_branch_and_not_the_other_versions(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine, conversation: Conversation
) -> None:
    for text in ("first", "edited"):
        with qtbot.waitSignal(answering.finished):
            answering.send(conversation.id, None, text)
    request = [args[0] for name, args in loaded_engine.calls if name == "generate"][-1]
    assert [message.content for message in request.messages] == ["edited"]


def test_the_first_message_makes_the_conversation(
    qtbot: QtBot, storage: ChatStorage, answering: Answering, loaded_engine: FakeEngine
) -> None:
    new = Conversation("", "", system_prompt="Be brief.", preset="Precise")
    conversations: list[Conversation] = []
    answering.created.connect(conversations.append)
    added = answering.message_added
    with qtbot.waitSignals([answering.created, added, added, answering.finished], order="strict"):
        answering.send_first(new, "hello there")
        answering.send_first(new, "hello there")
    (made,) = conversations
    assert (made.title, made.system_prompt, made.preset) == ("hello there", "Be brief.", "Precise")
    assert len(stored(qtbot, storage, lambda store: store.list())) == 1


def test_an_answer_that_cannot_begin_says_so(
    qtbot: QtBot, answering: Answering, monkeypatch: pytest.MonkeyPatch, conversation: Conversation
) -> None:
    def refuse(*_: Any) -> Any:
        raise StorageError("The answer could not be saved: no room.")

    monkeypatch.setattr("app.chat.store.ChatStore.begin_answer", refuse)
    with qtbot.waitSignal(answering.problem) as problem:
        answering.send(conversation.id, None, "hi")
    assert "no room" in problem.args[2]
    assert not answering.busy
