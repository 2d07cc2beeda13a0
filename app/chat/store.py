"""The conversations on disk. A method is one transaction, on the disk when it returns; failures are StorageErrors."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from app.chat import search as searching
from app.chat.conversation import UNTITLED, Conversation, ConversationSummary, MessageState, StoredMessage
from app.chat.database import (
    as_text,
    as_time,
    clean_text,
    connect,
    decode_sampling,
    encode_sampling,
    encode_statistics,
    is_damage,
    is_search_damage,
    rebuild_search,
    storage_error,
)
from app.chat.presets import BUILT_IN_PRESETS, SamplingPreset
from app.chat.salvage import salvage, set_aside_damaged_wal
from app.chat.tree import (
    all_messages,
    conversation_gone,
    newest_below,
    read_conversation,
    require_conversation,
    require_message,
    sibling_ids,
    title_of,
)
from app.engine.messages import AnswerStatistics, Role, Sampling
from app.errors import StorageError
from app.system.files import read_object, write_atomic

T = TypeVar("T")
Database = sqlite3.Connection


class ChatStore:
    """The chat database, for one thread. A damaged one is replaced by what can be read of it, and `notice` says so."""

    def __init__(self, path: Path) -> None:
        """Open or make the database at `path`. Answers still streaming when the program ended become interrupted."""
        self.path = path
        self.notice = ""
        self._db: Database | None = None
        self.recover_interrupted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. Further calls open it again."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    # Conversations

    def create(self, system_prompt: str = "", sampling: Sampling | None = None, preset: str = "") -> Conversation:
        """A new conversation without messages."""
        id_, now = uuid.uuid4().hex, time.time()
        row = (id_, UNTITLED, clean_text(system_prompt), encode_sampling(sampling or Sampling()), preset, now, now)

        def insert(db: Database) -> None:
            db.execute(
                "INSERT INTO conversations (id, title, system_prompt, sampling, preset, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

        self._write("A new chat could not be made", insert)
        return self.get(id_)

    def get(self, conversation_id: str) -> Conversation:
        """The conversation with its active branch, deleted or not. Raises StorageError where there is none."""
        return self._read("The chat could not be opened", lambda db: read_conversation(db, conversation_id))

    def is_listed(self, conversation_id: str) -> bool:
        """Whether there is such a conversation and it was not deleted."""
        query = "SELECT 1 FROM conversations WHERE id = ? AND deleted_at IS NULL"
        row = self._read("The chat could not be opened", lambda db: db.execute(query, (conversation_id,)).fetchone())
        return row is not None

    def ids(self) -> frozenset[str]:
        """All conversations, deleted ones that can be brought back among them."""
        rows = self._read(
            "The chats could not be listed", lambda db: db.execute("SELECT id FROM conversations").fetchall()
        )
        return frozenset(as_text(id_) for (id_,) in rows)

    def list(self, search: str = "", limit: int = 200, offset: int = 0) -> tuple[ConversationSummary, ...]:
        """The conversations that are not deleted, the last used first.

        With `search` those where every word of it is in the title or in one message, any place, any case.
        """
        terms = searching.parse(search)
        if terms:
            return self._read("The chats could not be searched", lambda db: searching.find(db, terms, limit, offset))
        if search.strip():  # nothing that can be looked for
            return ()
        return self._read("The chats could not be listed", lambda db: _newest(db, limit, offset))

    def rename(self, conversation_id: str, title: str) -> None:
        """Give the conversation a title. A blank one brings back the title made from the first message."""
        title = " ".join(clean_text(title).split())

        def update(db: Database) -> None:
            self._change(db, conversation_id, title=title or title_of(db, conversation_id), titled=bool(title))

        self._write("The chat could not be renamed", update)

    def delete(self, conversation_id: str) -> None:
        """Take the conversation off the list. `restore` brings it back until it is purged."""
        self._set("The chat could not be deleted", conversation_id, deleted_at=time.time())

    def restore(self, conversation_id: str) -> None:
        """Undo `delete`."""
        self._set("The chat could not be brought back", conversation_id, deleted_at=None)

    def purge_deleted(self, older_than_s: float) -> int:
        """Remove for good what was deleted longer ago than this. Returns how many conversations."""
        before = time.time() - older_than_s
        return self._write(
            "Deleted chats could not be removed",
            lambda db: db.execute("DELETE FROM conversations WHERE deleted_at <= ?", (before,)).rowcount,
        )

    def set_system_prompt(self, conversation_id: str, system_prompt: str) -> None:
        """Change the system prompt of the conversation."""
        self._set("The system prompt could not be saved", conversation_id, system_prompt=clean_text(system_prompt))

    def set_sampling(self, conversation_id: str, sampling: Sampling, preset: str = "") -> None:
        """Change how answers are sampled in the conversation. `preset` is the name the values have, if any."""
        self._set("The sampling could not be saved", conversation_id, sampling=encode_sampling(sampling), preset=preset)

    # Messages

    def add_user_message(self, conversation_id: str, parent_id: int | None, content: str) -> StoredMessage:
        """Add what the user wrote after `parent_id`: the new end of the active branch. The first names the chat."""
        content = clean_text(content)

        def insert(db: Database) -> StoredMessage:
            state = MessageState.COMPLETE
            message = self._insert(db, conversation_id, parent_id, Role.USER, content, "", state)
            title = title_of(db, conversation_id)
            db.execute("UPDATE conversations SET title = ? WHERE id = ? AND NOT titled", (title, conversation_id))
            return message

        return self._write("Your message could not be saved", insert)

    def begin_answer(self, conversation_id: str, parent_id: int | None, model_name: str) -> StoredMessage:
        """Add an empty answer to `parent_id`, to be filled while it streams: the new end of the active branch."""
        model_name = clean_text(model_name)

        def insert(db: Database) -> StoredMessage:
            state = MessageState.STREAMING
            message = self._insert(db, conversation_id, parent_id, Role.ASSISTANT, "", model_name, state)
            self._change(db, conversation_id, model_name=model_name)
            return message

        return self._write("The answer could not be saved", insert)

    def update_answer(self, message_id: int, content: str) -> None:
        """Save the answer so far: call it once a second while it streams."""
        self._write(
            "The answer could not be saved",
            lambda db: db.execute("UPDATE messages SET content = ? WHERE id = ?", (clean_text(content), message_id)),
        )

    def finish_answer(
        self,
        message_id: int,
        content: str,
        statistics: AnswerStatistics | None = None,
        state: MessageState = MessageState.COMPLETE,
    ) -> None:
        """Save the whole answer, complete or interrupted."""
        values = (clean_text(content), encode_statistics(statistics), state.value, message_id)

        def update(db: Database) -> None:
            db.execute("UPDATE messages SET content = ?, statistics = ?, state = ? WHERE id = ?", values)
            db.execute(
                "UPDATE conversations SET updated_at = ?"
                " WHERE id = (SELECT conversation_id FROM messages WHERE id = ?)",
                (time.time(), message_id),
            )

        self._write("The answer could not be saved", update)

    def select_branch(self, conversation_id: str, message_id: int) -> Conversation:
        """Make the branch through this message active, down to what was written last below it."""

        def update(db: Database) -> Conversation:
            require_message(db, conversation_id, message_id)
            self._change(db, conversation_id, active_leaf=newest_below(db, message_id))
            return read_conversation(db, conversation_id)

        return self._write("The branch could not be opened", update)

    def all_messages(self, conversation_id: str) -> tuple[StoredMessage, ...]:
        """The messages of all branches in the order they were written: for the export."""
        return self._read("The chat could not be read", lambda db: all_messages(db, conversation_id))

    def recover_interrupted(self) -> int:
        """Mark answers that no one is writing any more. Returns how many; called when the store is opened."""
        return self._write(
            "The chats could not be opened",
            lambda db: (
                db.execute(
                    "UPDATE messages SET state = ? WHERE state = 'streaming'", (MessageState.INTERRUPTED.value,)
                ).rowcount
            ),
        )

    # Presets

    def presets(self) -> tuple[SamplingPreset, ...]:
        """The user's own presets, by name."""
        rows = self._read(
            "The presets could not be read",
            lambda db: db.execute("SELECT name, sampling FROM presets ORDER BY name").fetchall(),
        )
        return tuple(SamplingPreset(as_text(name), decode_sampling(sampling)) for name, sampling in rows)

    def save_preset(self, name: str, sampling: Sampling) -> SamplingPreset:
        """Save sampling values under a name, over those saved before. Raises StorageError for a built-in name."""
        preset = SamplingPreset(" ".join(clean_text(name).split()), sampling)
        if not preset.name:
            raise StorageError("A preset needs a name.")
        if preset.name in {built_in.name for built_in in BUILT_IN_PRESETS}:
            raise StorageError(f"“{preset.name}” comes with Bantam and cannot be changed.", "Choose another name.")
        values = (preset.name, encode_sampling(sampling))
        self._write(
            "The preset could not be saved", lambda db: db.execute("REPLACE INTO presets VALUES (?, ?)", values)
        )
        return preset

    def delete_preset(self, name: str) -> None:
        """Remove one of the user's presets, if it is there."""
        self._write(
            "The preset could not be deleted", lambda db: db.execute("DELETE FROM presets WHERE name = ?", (name,))
        )

    # Private

    def _insert(
        self, db: Database, conversation_id: str, parent_id: int | None, role: Role, content: str, model_name: str,
        state: MessageState,
    ) -> StoredMessage:  # fmt: skip
        now = time.time()
        if parent_id is not None:
            require_message(db, conversation_id, parent_id)
        require_conversation(db, conversation_id)
        id_ = db.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, state, created_at, model_name, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (conversation_id, parent_id, role.value, state.value, now, model_name, content),
        ).lastrowid
        assert id_ is not None
        self._change(db, conversation_id, active_leaf=id_, updated_at=now)
        ids = sibling_ids(db, conversation_id, parent_id)
        return StoredMessage(id_, parent_id, role, content, now, model_name, state, None, ids)

    def _set(self, doing: str, conversation_id: str, **values: Any) -> None:
        self._write(doing, lambda db: self._change(db, conversation_id, **values))

    def _change(self, db: Database, conversation_id: str, **values: Any) -> None:
        columns = ", ".join(f"{column} = ?" for column in values)
        changed = db.execute(f"UPDATE conversations SET {columns} WHERE id = ?", (*values.values(), conversation_id))
        if changed.rowcount == 0:
            raise conversation_gone()

    def _write(self, doing: str, change: Callable[[Database], T]) -> T:
        def transaction(db: Database) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = change(db)
                db.execute("COMMIT")
                return result
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

        return self._read(doing, transaction)

    def _read(self, doing: str, function: Callable[[Database], T]) -> T:
        """Run `function`. Damage found on the way is mended and the function run once more."""
        try:
            return function(self._open())
        except sqlite3.Error as error:
            if not is_damage(error):
                raise storage_error(doing, error) from error
            self._mend(error)
        try:
            return function(self._open())
        except sqlite3.Error as error:
            raise storage_error(doing, error) from error

    def _open(self) -> Database:
        if self._db is None:
            self.notice = set_aside_damaged_wal(self.path) or self.notice
            self._db = connect(self.path)
        return self._db

    def _mend(self, error: sqlite3.Error) -> None:
        self.close()
        if not (is_search_damage(error) and self._rebuild_search()):
            self.notice = salvage(self.path)

    def _rebuild_search(self) -> bool:
        """Make the search index anew. False where the damage is in more than that."""
        try:
            with contextlib.closing(connect(self.path, check=False)) as db:
                db.execute("BEGIN IMMEDIATE")
                rebuild_search(db)
                db.execute("COMMIT")
        except sqlite3.Error:
            return False
        return True


def _newest(db: Database, limit: int, offset: int) -> tuple[ConversationSummary, ...]:
    rows = db.execute(
        "SELECT id, title, updated_at, model_name FROM conversations WHERE deleted_at IS NULL"
        " ORDER BY updated_at DESC, number DESC LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return tuple(ConversationSummary(as_text(i), as_text(t), as_time(u), as_text(m)) for i, t, u, m in rows)


# Texts that were typed and not sent, by conversation: a small file beside the chats, which stay as they are.


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
