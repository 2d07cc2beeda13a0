"""Reading a conversation's tree of messages: the active branch, the siblings, the newest leaf below a message."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from app.chat.conversation import UNTITLED, Conversation, StoredMessage, title_from
from app.chat.database import MESSAGE_COLUMNS, as_text, decode_message, decode_sampling
from app.errors import StorageError


def read_conversation(db: sqlite3.Connection, conversation_id: str) -> Conversation:
    """The conversation with its active branch. Raises StorageError where there is none."""
    row = db.execute(
        "SELECT title, system_prompt, sampling, preset, active_leaf FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        raise conversation_gone()
    title, system_prompt, sampling, preset, leaf = row
    return Conversation(
        id=conversation_id,
        title=as_text(title) or UNTITLED,
        system_prompt=as_text(system_prompt),
        sampling=decode_sampling(sampling),
        preset=as_text(preset),
        path=_active_branch(db, conversation_id, leaf),
    )


def all_messages(db: sqlite3.Connection, conversation_id: str) -> tuple[StoredMessage, ...]:
    """The messages of all branches in the order they were written."""
    parents = _parents(db, conversation_id)
    siblings = _siblings(parents)
    rows = db.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE conversation_id = ? ORDER BY id", (conversation_id,)
    )
    return tuple(decode_message(row, siblings[parents.get(row[0])]) for row in rows)


def sibling_ids(db: sqlite3.Connection, conversation_id: str, parent_id: int | None) -> tuple[int, ...]:
    """The messages of the conversation with this parent in the order they were written."""
    rows = db.execute(
        "SELECT id FROM messages WHERE conversation_id = ? AND parent_id IS ? ORDER BY id", (conversation_id, parent_id)
    )
    return tuple(row[0] for row in rows)


def newest_below(db: sqlite3.Connection, message_id: int) -> int:
    """The last written message below this one, or itself: where the user left that branch."""
    row = db.execute(
        """
        WITH RECURSIVE below (id) AS (VALUES (?) UNION SELECT m.id FROM messages m JOIN below ON m.parent_id = below.id)
        SELECT max(id) FROM below
        """,
        (message_id,),
    ).fetchone()
    return int(row[0])


def title_of(db: sqlite3.Connection, conversation_id: str) -> str:
    """The title that the first message of the user gives."""
    row = db.execute(
        "SELECT content FROM messages WHERE conversation_id = ? AND role = 'user' ORDER BY id LIMIT 1",
        (conversation_id,),
    ).fetchone()
    return title_from(as_text(row[0])) if row else UNTITLED


def require_conversation(db: sqlite3.Connection, conversation_id: str) -> None:
    """Raises StorageError where there is no such conversation."""
    if db.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation_id,)).fetchone() is None:
        raise conversation_gone()


def require_message(db: sqlite3.Connection, conversation_id: str, message_id: int) -> None:
    """Raises StorageError where the conversation has no such message."""
    where = (message_id, conversation_id)
    if db.execute("SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?", where).fetchone() is None:
        raise StorageError("This message is no longer there.")


def conversation_gone() -> StorageError:
    """The error for a conversation that was purged, or never was."""
    return StorageError("This chat is no longer there.")


def _active_branch(db: sqlite3.Connection, conversation_id: str, leaf: int | None) -> tuple[StoredMessage, ...]:
    parents = _parents(db, conversation_id)
    if leaf not in parents:
        leaf = max(parents, default=None)
    siblings = _siblings(parents)
    branch: dict[int, None] = {}
    while leaf in parents and leaf not in branch:  # damaged parents may make a ring
        branch[leaf] = None
        leaf = parents[leaf]
    return tuple(_message(db, id_, siblings[parents[id_]]) for id_ in reversed(branch))


def _message(db: sqlite3.Connection, message_id: int, siblings: tuple[int, ...]) -> StoredMessage:
    row = db.execute(f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE id = ?", (message_id,)).fetchone()
    return decode_message(row, siblings)


def _parents(db: sqlite3.Connection, conversation_id: str) -> dict[int, int | None]:
    rows = db.execute("SELECT id, parent_id FROM messages WHERE conversation_id = ? ORDER BY id", (conversation_id,))
    return {id_: parent if isinstance(parent, int) else None for id_, parent in rows}


def _siblings(parents: dict[int, int | None]) -> dict[int | None, tuple[int, ...]]:
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for id_, parent in parents.items():
        children[parent].append(id_)
    return {parent: tuple(ids) for parent, ids in children.items()}
