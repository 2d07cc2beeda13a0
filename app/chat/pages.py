"""Reads rows straight from the pages of a SQLite file, where the pages that lead to them are lost.

After the file format at https://www.sqlite.org/fileformat2.html: leaf pages of tables, their cells, overflow chains.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from app.chat.database import PAGE_BYTES

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
                yield from _rows(file, page, pages, columns)


def _rows(file: BinaryIO, page: bytes, pages: int, columns: int) -> Iterator[tuple[Any, ...]]:
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
