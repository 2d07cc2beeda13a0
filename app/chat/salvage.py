"""A new chat database from what can be read of a damaged one. The damaged files are kept aside.

First through SQLite, by ranges of keys; where too much cannot be reached in that way, from the single pages.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from app.chat.database import PAGE_BYTES, as_text, as_time, connect, read_only, storage_error
from app.chat.tree import title_of
from app.engine.messages import Role
from app.errors import StorageError

UNREADABLE = "[This message could not be read from the damaged database.]"
SIDE_FILES = ("", "-wal", "-shm")
WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")

_MAX_FAULTS = 20_000
"""Reads that fail before the rest of a table is given up: about two seconds."""

_HIGHEST_ID = 2_000_000
_ROWS_OF_A_PAGE = 50
_FAILED = "The chat database is damaged, and what can be read of it could not be saved"

_CONVERSATION_COLUMNS = (
    "number, id, title, titled, system_prompt, sampling, preset, model_name, active_leaf,"
    " created_at, updated_at, deleted_at"
)
_MESSAGE_COLUMNS = "id, conversation_id, parent_id, role, state, created_at, model_name, statistics, content"


def salvage(path: Path) -> str:
    """Replace the damaged database at `path` by a new one with what can be read, and keep the damaged one beside it.

    Returns the sentence that says what was saved and where the damaged file is. Raises StorageError where there is no
    room for it: then the damaged database is where it was.
    """
    part, copy = path.with_name(path.name + ".part"), path.with_name(path.name + ".copy")
    try:
        _remove(part, copy)
        found = _copy_rows(path, part, copy)
        aside = _set_aside(path)
        part.replace(path)
    except sqlite3.Error as error:
        raise storage_error(_FAILED, error) from error
    except OSError as error:
        raise StorageError(
            f"{_FAILED}: {error.strerror or error}.", "Free some space and start Bantam again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(part, copy)
    return f"{found.sentence} The damaged file is kept as “{aside.name}”."


def set_aside_damaged_wal(path: Path) -> str:
    """Keep a copy of a write-ahead log that SQLite will ignore and overwrite: its first bytes are not those of one.

    Returns the sentence that says so, "" where there is nothing wrong.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        with wal.open("rb") as file:
            magic = file.read(4)
        if not magic or magic in WAL_MAGIC:
            return ""
        aside = _free_name(wal)
        shutil.copyfile(wal, aside)
    except OSError:
        return ""
    return (
        "The last changes to the chats could not be read: their log was damaged. All that was saved before is here."
        f" The damaged log is kept as “{aside.name}”."
    )


@dataclass(slots=True)
class _Found:
    conversations: int = 0
    messages: int = 0
    lost: int = 0
    from_pages: bool = False

    @property
    def sentence(self) -> str:
        saved = f"{_count(self.conversations, 'chat')} with {_count(self.messages, 'message')}"
        if not self.conversations:
            return "The chat database was damaged, and nothing could be read from it."
        if self.from_pages:
            return f"The chat database was badly damaged. {saved} were found in it and saved, others may be lost."
        if not self.lost:
            return f"The chat database was damaged and was made anew: {saved} were saved."
        return f"The chat database was damaged. {saved} were saved, up to {self.lost:,} could not be read."


def _copy_rows(path: Path, part: Path, copy: Path) -> _Found:
    found = _Found()
    with contextlib.closing(connect(part)) as new, contextlib.closing(_open_damaged(path, copy)) as old:
        new.execute("PRAGMA journal_mode = DELETE")  # one file, that can be renamed
        new.execute("PRAGMA foreign_keys = OFF")
        new.execute("BEGIN IMMEDIATE")
        for row in _rows(old, "conversations", "number", _CONVERSATION_COLUMNS, found):
            _insert_conversation(new, row)
        for row in _rows(old, "messages", "id", _MESSAGE_COLUMNS, found):
            _insert_message(new, row)
        for row in _rows(old, "presets", "rowid", "rowid, name, sampling", _Found()):
            _insert(new, "presets", "name, sampling", (as_text(row[1]), as_text(row[2])))
        if found.lost > _ROWS_OF_A_PAGE:
            found.from_pages = True
            _copy_rows_on_pages(new, path, copy)
        _mend_links(new)
        found.conversations = new.execute("SELECT count(*) FROM conversations").fetchone()[0]
        found.messages = new.execute("SELECT count(*) FROM messages").fetchone()[0]
        new.execute("COMMIT")
    return found


def _copy_rows_on_pages(new: sqlite3.Connection, path: Path, copy: Path) -> None:
    """So many rows cannot be reached that a page which leads to others is lost: look at each page for rows."""
    if not copy.exists():
        _copy_files(path, copy)
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for row in rows_on_pages(copy, _CONVERSATION_COLUMNS.count(",") + 1):
        if isinstance(row[1], str) and isinstance(row[2], str):
            _insert_conversation(new, row)
    for row in rows_on_pages(copy, _MESSAGE_COLUMNS.count(",") + 1):
        if isinstance(row[1], str) and row[3] in set(Role):
            _insert_message(new, row)


def _copy_files(path: Path, copy: Path) -> None:
    for end in SIDE_FILES[:2]:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + end), copy.with_name(copy.name + end))


def _open_damaged(path: Path, copy: Path) -> sqlite3.Connection:
    """The damaged database for reading; where SQLite cannot even begin, a copy with the first page of a new one."""
    db = read_only(path)
    try:
        db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'messages'").fetchone()
    except sqlite3.DatabaseError:
        db.close()
    else:
        return db
    _copy_files(path, copy)
    _give_first_page(copy)
    return read_only(copy)


def _give_first_page(path: Path) -> None:
    """Write the first page of an empty database over that of `path`.

    The first page holds the schema and where each table begins. These places are the same in every database that the
    same statements made.
    """
    empty = path.with_name(path.name + ".empty")
    try:
        connect(empty).close()
        page = bytearray(empty.read_bytes()[:PAGE_BYTES])
    finally:
        _remove(empty)
    pages = max(1, path.stat().st_size // len(page))
    page[28:32] = pages.to_bytes(4, "big")
    page[92:96] = page[24:28]
    page[32:40] = bytes(8)
    with path.open("r+b") as file:
        file.write(page)


def _rows(db: sqlite3.Connection, table: str, key: str, columns: str, found: _Found) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read. A range of keys with a fault in it is halved until the fault is alone."""
    faults = 0
    waiting = [(-1, _highest(db, table, key))]
    query = f"SELECT {columns} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"
    while waiting and faults < _MAX_FAULTS:
        low, high = waiting.pop()
        try:
            for row in db.execute(query, (low, high)):
                low = row[0] + 1
                yield row
        except sqlite3.DatabaseError:
            faults += 1
            if low < high:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
            elif low == high:
                found.lost += 1
                yield from _without_last_column(db, table, key, columns, low)


def _without_last_column(
    db: sqlite3.Connection, table: str, key: str, columns: str, value: int
) -> Iterator[tuple[Any, ...]]:
    """A row whose long text lies on a page that cannot be read, but the rest does not."""
    with contextlib.suppress(sqlite3.DatabaseError):
        rest = columns.rpartition(", ")[0]
        row = db.execute(f"SELECT {rest} FROM {table} WHERE {key} = ?", (value,)).fetchone()
        if row is not None:
            yield (*row, None)


def _highest(db: sqlite3.Connection, table: str, key: str) -> int:
    for query, values in (
        (f"SELECT max({key}) FROM {table}", ()),
        ("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)),
    ):
        with contextlib.suppress(sqlite3.DatabaseError):
            row = db.execute(query, values).fetchone()
            if row and isinstance(row[0], int):
                return row[0]
    return _HIGHEST_ID


def _insert_conversation(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    number, id_, title, titled, system_prompt, sampling, preset, model_name, leaf, created, updated, deleted = row
    texts = tuple(as_text(value) for value in (system_prompt, sampling, preset, model_name))
    times = (as_time(created), as_time(updated), None if deleted is None else as_time(deleted))
    leaf = leaf if isinstance(leaf, int) else None
    values = (number, as_text(id_), as_text(title), bool(titled), *texts, leaf, *times)
    _insert(db, "conversations", _CONVERSATION_COLUMNS, values)


def _insert_message(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    id_, conversation_id, parent_id, role, state, created_at, model_name, statistics, content = row
    values = (
        id_,
        as_text(conversation_id),
        parent_id if isinstance(parent_id, int) else None,
        as_text(role),
        as_text(state),
        as_time(created_at),
        as_text(model_name),
        None if statistics is None else as_text(statistics),
        UNREADABLE if content is None else as_text(content),
    )
    _insert(db, "messages", _MESSAGE_COLUMNS, values)


def _insert(db: sqlite3.Connection, table: str, columns: str, values: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)


def _mend_links(db: sqlite3.Connection) -> None:
    """A conversation for messages that lost theirs; for a message that lost its parent, the one written before it."""
    now = time.time()
    lost = db.execute(
        "SELECT conversation_id, max(created_at) FROM messages"
        " WHERE conversation_id NOT IN (SELECT id FROM conversations) GROUP BY conversation_id"
    ).fetchall()
    for id_, at in lost:
        db.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, ?, ?, ?)",
            (id_, title_of(db, id_), at or now, at or now),
        )
    db.execute(
        """
        UPDATE messages SET parent_id = (
            SELECT max(p.id) FROM messages p WHERE p.conversation_id = messages.conversation_id AND p.id < messages.id
        ) WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT id FROM messages)
        """
    )


def _set_aside(path: Path) -> Path:
    aside = _free_name(path)
    for end in SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (path.with_name(f"{path.name}.damaged-{stamp}{more}") for more in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if not name.exists())


def _remove(*paths: Path) -> None:
    for path in paths:
        for end in (*SIDE_FILES, "-journal"):
            path.with_name(path.name + end).unlink(missing_ok=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# Reads rows straight from the pages of a SQLite file, where the pages that lead to them are lost.
#
# After the file format at https://www.sqlite.org/fileformat2.html: leaf pages of tables, their cells, overflow chains.


Value = int | float | str | bytes | None

_TABLE_LEAF = 0x0D
_MAX_LOCAL = PAGE_BYTES - 35
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_PAYLOAD = 1 << 28


def rows_on_pages(path: Path, columns: int) -> Iterator[tuple[Any, ...]]:
    """Every row with this many columns on a table's leaf page, in the order of the file.

    The rowid stands in the first column, as for an INTEGER PRIMARY KEY. A last column whose overflow pages are lost is
    None; a row with more lost than that is left out. Raises OSError.
    """
    pages = path.stat().st_size // PAGE_BYTES
    with path.open("rb") as file:
        for number in range(2, pages + 1):
            page = _page(file, number)
            if page[0] == _TABLE_LEAF:
                yield from _rows_of_page(file, page, pages, columns)


def _rows_of_page(file: BinaryIO, page: bytes, pages: int, columns: int) -> Iterator[tuple[Any, ...]]:
    count = int.from_bytes(page[3:5], "big")
    for place in range(8, min(8 + 2 * count, PAGE_BYTES - 1), 2):
        try:
            rowid, payload, size = _cell(file, page, int.from_bytes(page[place : place + 2], "big"), pages)
            values = _record(payload, size, columns)
        except (IndexError, struct.error):
            continue  # not a cell, or one that is damaged
        if values is not None:
            yield (rowid, *values[1:])


def _cell(file: BinaryIO, page: bytes, at: int, pages: int) -> tuple[int, bytes, int]:
    """(rowid, as much of the payload as there is, its full size)."""
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if size > _MAX_PAYLOAD:
        raise IndexError
    if size <= _MAX_LOCAL:
        return rowid, page[at : at + size], size
    local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE_BYTES - 4)
    local = local if local <= _MAX_LOCAL else _MIN_LOCAL
    payload = [page[at : at + local]]
    missing = size - local
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while missing > 0 and 2 <= following <= pages:
        overflow = _page(file, following)
        payload.append(overflow[4 : 4 + missing])
        missing -= PAGE_BYTES - 4
        following = int.from_bytes(overflow[:4], "big")
    return rowid, b"".join(payload), size


def _record(payload: bytes, size: int, columns: int) -> list[Value] | None:
    """The values of a record, or None where it has another number of columns."""
    header_bytes, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < header_bytes and len(kinds) <= columns:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) != columns or at != header_bytes:
        return None
    values: list[Value] = []
    for kind in kinds:
        length = _value_bytes(kind)
        if at + length > len(payload):
            if len(values) == columns - 1 and at + length == size:
                return [*values, None]
            raise IndexError
        values.append(_value(kind, payload[at : at + length]))
        at += length
    return values


def _value_bytes(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    return 8 if kind == 7 else _INTEGER_BYTES.get(kind, 0)


def _value(kind: int, data: bytes) -> Value:
    if kind >= 12:
        return data if kind % 2 == 0 else data.decode("utf-8", "replace")
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(data, "big", signed=True) if data else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def _page(file: BinaryIO, number: int) -> bytes:
    file.seek((number - 1) * PAGE_BYTES)
    return file.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")
