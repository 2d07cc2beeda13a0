"""One connection to the chat database: how it is opened, and what SQLite's failures mean in words."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.chat.conversation import MessageState, StoredMessage
from app.engine.messages import AnswerStatistics, DraftFigures, Role, Sampling, StopReason
from app.errors import StorageError

BUSY_TIMEOUT_S = 5.0
_RETRY_S = 0.01
PAGE_BYTES = 4096
QUICKLY_CHECKED_BYTES = 16_000_000
"""About 30 ms."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REASONS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space and try again."),
    sqlite3.SQLITE_BUSY: ("another program is using the chats", "Close it and try again."),
    sqlite3.SQLITE_LOCKED: ("another program is using the chats", "Close it and try again."),
    sqlite3.SQLITE_READONLY: ("the file may not be written", "Make the data folder writable."),
    sqlite3.SQLITE_CANTOPEN: ("the file cannot be opened", "Make the data folder readable and writable."),
    sqlite3.SQLITE_PERM: ("the file may not be written", "Make the data folder writable."),
    sqlite3.SQLITE_IOERR: ("the disk reported an error", "Check the disk, then try again."),
    sqlite3.SQLITE_TOOBIG: ("the text is too long", "Shorten it and try again."),
    sqlite3.SQLITE_CORRUPT: ("the database is damaged", "Start Bantam again: it keeps what can be read."),
    sqlite3.SQLITE_NOTADB: ("the file is not a chat database", "Start Bantam again: it keeps what can be read."),
}


def connect(path: Path, check: bool = True) -> sqlite3.Connection:
    """Open the database, or make it, and bring it to the present schema. Raises sqlite3.Error and StorageError.

    WAL with synchronous=FULL: each commit is on the disk when it returns, so that neither a crash of the program nor a
    power cut takes the user's text. It costs one fsync a commit, at most one a second while an answer streams.
    `check` looks through the file for damage where that is quick, or where the program ended without closing it.
    """
    check = check and _needs_check(path)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.text_factory = _decode
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        _use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # what was purged is not left in free pages
        migrate(db)
        if check:
            _check(db)
    except (sqlite3.Error, StorageError):
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite's own timeout does not cover the change to WAL where two programs make it at once: one is refused."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def read_only(path: Path) -> sqlite3.Connection:
    """Open a damaged database as it is, for reading. Raises sqlite3.Error."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    db.text_factory = _decode
    db.execute("PRAGMA writable_schema = ON")  # lets SQLite read a file that is shorter than its header says
    return db


def _needs_check(path: Path) -> bool:
    """Other damage is found when it is read, and mended then."""
    try:
        return path.stat().st_size <= QUICKLY_CHECKED_BYTES or path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _check(db: sqlite3.Connection) -> None:
    fault = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if fault == "ok":
        return
    error = sqlite3.DatabaseError(fault)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_VTAB if "fts5" in fault.lower() else sqlite3.SQLITE_CORRUPT
    raise error


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database itself is damaged, so that trying again is of no use."""
    return _primary(error) in _DAMAGED or is_search_damage(error)


def is_search_damage(error: sqlite3.Error) -> bool:
    """Whether it is the search index that is damaged, which can be made anew.

    A constraint without a kind is one of the index's own tables: those of the schema have one.
    """
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_CORRUPT_VTAB, sqlite3.SQLITE_CONSTRAINT)


def storage_error(doing: str, error: sqlite3.Error) -> StorageError:
    """The failure in words: "Your message could not be saved: the disk is full."."""
    reason, hint = _REASONS.get(_primary(error), (str(error), ""))
    return StorageError(f"{doing}: {reason}.", hint)


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


# The chat database: its tables, its search index, and how an older one becomes the present one.
#
# `content` stands last in `messages` so that the other columns of a row can be read where its overflow pages are
# damaged.


SCHEMA_VERSION = 1

TABLES = """
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    titled INTEGER NOT NULL DEFAULT 0,
    system_prompt TEXT NOT NULL DEFAULT '',
    sampling TEXT NOT NULL DEFAULT '{}',
    preset TEXT NOT NULL DEFAULT '',
    model_name TEXT NOT NULL DEFAULT '',
    active_leaf INTEGER,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at REAL NOT NULL,
    model_name TEXT NOT NULL DEFAULT '',
    statistics TEXT,
    content TEXT NOT NULL
);
CREATE TABLE presets (name TEXT PRIMARY KEY, sampling TEXT NOT NULL);
CREATE INDEX conversations_by_time ON conversations (updated_at DESC, number DESC) WHERE deleted_at IS NULL;
CREATE INDEX messages_by_conversation ON messages (conversation_id, parent_id);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE INDEX messages_streaming ON messages (state) WHERE state = 'streaming';
"""

# Trigrams find any three characters anywhere: Chinese and Japanese, which have no spaces, and "C++" as well as words.
# An answer is indexed once it has ended, not at each update while it streams: hence the view and the conditions.
SEARCH = """
CREATE VIEW indexed_messages AS SELECT id, content FROM messages WHERE state <> 'streaming';
CREATE VIRTUAL TABLE message_search USING fts5
    (content, content = 'indexed_messages', content_rowid = 'id', tokenize = 'trigram');
CREATE VIRTUAL TABLE title_search USING fts5
    (title, content = 'conversations', content_rowid = 'number', tokenize = 'trigram');
CREATE TRIGGER message_inserted AFTER INSERT ON messages WHEN new.state <> 'streaming' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON messages WHEN old.state <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER message_unindexed AFTER UPDATE OF content, state ON messages WHEN old.state <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER message_indexed AFTER UPDATE OF content, state ON messages WHEN new.state <> 'streaming' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER title_inserted AFTER INSERT ON conversations BEGIN
    INSERT INTO title_search (rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER title_deleted AFTER DELETE ON conversations BEGIN
    INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.number, old.title);
END;
CREATE TRIGGER title_updated AFTER UPDATE OF title ON conversations BEGIN
    INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.number, old.title);
    INSERT INTO title_search (rowid, title) VALUES (new.number, new.title);
END;
"""

SEARCH_OBJECTS = (
    *(("TRIGGER", f"message_{what}") for what in ("inserted", "deleted", "unindexed", "indexed")),
    *(("TRIGGER", f"title_{what}") for what in ("inserted", "deleted", "updated")),
    ("TABLE", "message_search"),
    ("TABLE", "title_search"),
    ("VIEW", "indexed_messages"),
)

MIGRATIONS: dict[int, str] = {0: TABLES + SEARCH}
"""The steps from version n to n + 1: what is run, in one transaction."""


def migrate(db: sqlite3.Connection, target: int = SCHEMA_VERSION, migrations: dict[int, str] = MIGRATIONS) -> None:
    """Bring the database to the version `target`, step by step. Raises StorageError for one of a newer Bantam."""
    version = _version(db)
    if version > target:
        raise StorageError(
            f"The chats were last opened by a newer Bantam (chat format {version}, this one knows {target}).",
            "Update Bantam to open them. They were left as they are.",
        )
    while (version := _version(db)) < target:
        db.execute("BEGIN IMMEDIATE")
        try:
            if _version(db) == version:  # not already done by another process meanwhile
                for statement in statements(migrations[version]):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def rebuild_search(db: sqlite3.Connection) -> None:
    """Make the search index anew from the messages and titles, inside a transaction of the caller's."""
    for kind, name in SEARCH_OBJECTS:
        db.execute(f"DROP {kind} IF EXISTS {name}")
    for statement in statements(SEARCH):
        db.execute(statement)
    for table in ("message_search", "title_search"):
        db.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")


def statements(script: str) -> list[str]:
    """The single statements of a script: `executescript` would commit the transaction around it."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    return [statement for statement in found if statement]


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


# Between the dataclasses and the columns of the chat database. Reading never fails: a bad field closes no chat.


LATEST = 253_402_300_800.0
MESSAGE_COLUMNS = "id, parent_id, role, content, created_at, model_name, state, statistics"


def clean_text(text: str) -> str:
    """`text` as SQLite can keep it: half of a surrogate pair, which UTF-8 has no form for, becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def encode_sampling(sampling: Sampling) -> str:
    """The sampling values as a column keeps them."""
    return json.dumps(dataclasses.asdict(sampling))


def decode_sampling(stored: Any) -> Sampling:
    """The sampling values of a column; what is unusable in it is the default."""
    usable: dict[str, Any] = {}
    for name, value in _object(stored).items():
        default = getattr(Sampling(), name, None)
        if name == "stop" and isinstance(value, list):
            usable[name] = tuple(str(item) for item in value)
        elif name == "seed":
            usable[name] = value if isinstance(value, int) and not isinstance(value, bool) else None
        elif isinstance(default, float) and _is_number(value):
            usable[name] = float(value)
        elif isinstance(default, int) and _is_number(value):
            usable[name] = int(value)
    return Sampling(**usable)


def encode_statistics(statistics: AnswerStatistics | None) -> str | None:
    """The statistics as a column keeps them."""
    return None if statistics is None else json.dumps(dataclasses.asdict(statistics))


def decode_statistics(stored: Any) -> AnswerStatistics | None:
    """The statistics of a column, or None where they are not all there."""
    data = _object(stored)
    reason = data.pop("stop_reason", None)
    drafting = data.pop("drafting", None)
    numbers = _numbers(AnswerStatistics, data, except_for=("stop_reason", "drafting"))
    if numbers is None or reason not in set(StopReason):
        return None
    return AnswerStatistics(**numbers, stop_reason=StopReason(reason), drafting=_decode_drafting(drafting))


def _decode_drafting(data: Any) -> DraftFigures | None:
    if not isinstance(data, dict) or not isinstance(data.get("is_on"), bool):
        return None
    numbers = _numbers(DraftFigures, data, except_for=("is_on",))
    return None if numbers is None else DraftFigures(is_on=data["is_on"], **numbers)


def _numbers(kind: Any, data: dict[str, Any], except_for: tuple[str, ...]) -> dict[str, Any] | None:
    """The fields of a dataclass that are numbers, as the types they should have; None where one is not there."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        if f.name in except_for:
            continue
        value = data.get(f.name, f.default)
        if not _is_number(value):
            return None
        values[f.name] = float(value) if f.type == "float" else int(value)
    return values


def decode_message(row: Iterable[Any], sibling_ids: tuple[int, ...] = ()) -> StoredMessage:
    """A row of MESSAGE_COLUMNS. An unknown role is taken for an answer, an unknown state for a complete one."""
    id_, parent_id, role, content, created_at, model_name, state, statistics = row
    return StoredMessage(
        id=int(id_),
        parent_id=parent_id if isinstance(parent_id, int) else None,
        role=Role(role) if role in set(Role) else Role.ASSISTANT,
        content=as_text(content),
        created_at=as_time(created_at),
        model_name=as_text(model_name),
        state=MessageState(state) if state in set(MessageState) else MessageState.COMPLETE,
        statistics=decode_statistics(statistics),
        sibling_ids=sibling_ids or (int(id_),),
    )


def as_text(value: Any) -> str:
    """A column as text, whatever type it has in a database that was damaged."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def as_time(value: Any) -> float:
    """A column as seconds since 1970, 0 where it is no time that a calendar has."""
    return float(value) if _is_number(value) and 0 <= value < LATEST else 0.0


def _object(stored: Any) -> dict[str, Any]:
    try:
        data = json.loads(stored) if isinstance(stored, (str, bytes)) else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_number(value: Any) -> bool:
    """A finite number, as JSON's NaN and Infinity are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
