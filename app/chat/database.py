"""One connection to the chat database: how it is opened, and what SQLite's failures mean in words."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from app.chat.schema import migrate
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
