"""A chat database for each test, and conversations to put in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.chat.conversation import Conversation
from app.chat.store import ChatStore
from app.engine.messages import AnswerStatistics, StopReason


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


@pytest.fixture
def store(database: Path) -> Iterator[ChatStore]:
    with ChatStore(database) as store:
        yield store


@pytest.fixture
def statistics() -> AnswerStatistics:
    return AnswerStatistics(12, 3, 40, 0, 80.5, 70.0, 900.0, 22.5, 30.0, 44.4, StopReason.END, 7)


def _say(store: ChatStore, *texts: str) -> Conversation:
    conversation = store.create()
    for number, text in enumerate(texts):
        parent = store.get(conversation.id).leaf_id
        if number % 2 == 0:
            store.add_user_message(conversation.id, parent, text)
        else:
            answer = store.begin_answer(conversation.id, parent, "tiny")
            store.finish_answer(answer.id, text)
    return store.get(conversation.id)


@pytest.fixture
def say() -> Callable[..., Conversation]:
    """say(store, *texts): a conversation of these texts, the user's first."""
    return _say
