"""Texts that were typed and not sent, by conversation: a small file beside the chats, which stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

from app.chat.store import ChatStore
from app.errors import StorageError
from app.system.files import read_object, write_atomic


def unsent_file(chats: Path) -> Path:
    """Where the texts lie for the chat database `chats`."""
    return chats.with_name("unsent.json")


def load_unsent(store: ChatStore) -> dict[str, str]:
    """The texts by conversation id, "" for a new one; those of chats that were removed for good are left out."""
    texts = {id_: text for id_, text in read_object(unsent_file(store.path)).items() if isinstance(text, str) and text}
    there = store.ids() if texts.keys() - {""} else frozenset()
    return {id_: text for id_, text in texts.items() if not id_ or id_ in there}


def save_unsent(store: ChatStore, texts: dict[str, str]) -> None:
    """Replace the stored texts. Raises StorageError where that cannot be."""
    try:
        write_atomic(unsent_file(store.path), json.dumps(texts).encode())
    except OSError as error:
        raise StorageError(
            f"What you are typing could not be saved: {error.strerror or error}.",
            "It is still in the field. Free some space before you close Bantam.",
        ) from error
