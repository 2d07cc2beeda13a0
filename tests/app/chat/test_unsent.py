"""Texts that were typed and not sent, beside the chat database."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from app.chat.conversation import Conversation
from app.chat.store import ChatStore, load_unsent, save_unsent, unsent_file
from app.errors import StorageError

Say = Callable[..., Conversation]


def test_texts_come_back_as_they_were(store: ChatStore, say: Say) -> None:
    texts = {"": "half a \ud800 new question\n", say(store, "hello").id: "and then"}
    save_unsent(store, texts)
    assert load_unsent(store) == texts


def test_the_text_of_a_deleted_chat_stays_as_long_as_the_chat_can_come_back(store: ChatStore, say: Say) -> None:
    id_ = say(store, "hello").id
    save_unsent(store, {id_: "and then", "": "new"})
    store.delete(id_)
    assert load_unsent(store) == {id_: "and then", "": "new"}
    store.purge_deleted(-1)
    assert load_unsent(store) == {"": "new"}


@pytest.mark.parametrize("content", ["", "[1]", '{"": 7, "a": null}', "{" * 9000])
def test_a_damaged_file_is_no_text(store: ChatStore, content: str) -> None:
    unsent_file(store.path).write_text(content)
    assert load_unsent(store) == {}


def test_a_text_that_cannot_be_saved_is_said_and_the_last_one_stays(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_unsent(store, {"": "first"})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="could not be saved"):
        save_unsent(store, {"": "second"})
    assert load_unsent(store) == {"": "first"}
