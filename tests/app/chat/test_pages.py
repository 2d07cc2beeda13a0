"""Rows read from pages are those SQLite reads."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from app.chat.salvage import rows_on_pages

VALUES = [
    None,
    0,
    1,
    -1,
    127,
    -32768,
    2**20,
    2**31,
    -(2**40),
    2**62,
    0.5,
    -1e300,
    "",
    "text",
    "ü🙂" * 50,
    b"",
    b"\0\xff",
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "db"
    rng = random.Random(5)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, x, y, text)")
    db.execute("CREATE TABLE other (x, y)")
    for size in [0, 1, 100, 4000, 4056, 4057, 4058, 4061, 4062, 5000, 8152, 8200, 100_000, *range(4030, 4070)]:
        db.execute("INSERT INTO a (x, y, text) VALUES (?, ?, ?)", (rng.choice(VALUES), rng.choice(VALUES), "z" * size))
        db.execute("INSERT INTO other VALUES (1, 2)")
    for value in VALUES:
        db.execute("INSERT INTO a VALUES (?, ?, ?, 'end')", (rng.randrange(2**40), value, value))
    db.commit()
    db.close()
    return path


def test_all_rows_are_found(database: Path) -> None:
    db = sqlite3.connect(database)
    expected = db.execute("SELECT * FROM a ORDER BY id").fetchall()
    db.close()
    assert sorted(rows_on_pages(database, 4), key=lambda row: row[0]) == expected


def test_rubbish_pages_give_no_error(database: Path, tmp_path: Path) -> None:
    rng = random.Random(6)
    data = bytearray(database.read_bytes())
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(100):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "changed").write_bytes(changed)
        list(rows_on_pages(tmp_path / "changed", 4))
    (tmp_path / "rubbish").write_bytes(b"\x0d" + rng.randbytes(100_000))
    list(rows_on_pages(tmp_path / "rubbish", 4))
