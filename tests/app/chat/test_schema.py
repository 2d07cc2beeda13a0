"""Versions of the chat database."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from app.chat.conversation import Conversation
from app.chat.database import MIGRATIONS, SCHEMA_VERSION, migrate, statements
from app.chat.store import ChatStore
from app.errors import StorageError

Say = Callable[..., Conversation]


def test_there_is_a_step_to_each_version() -> None:
    assert sorted(MIGRATIONS) == list(range(SCHEMA_VERSION))


def test_a_database_of_a_newer_bantam_is_refused_and_left_as_it_is(database: Path, say: Say) -> None:
    with ChatStore(database) as store:
        say(store, "from the future")
    with sqlite3.connect(database) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = database.read_bytes()
    with pytest.raises(StorageError, match="newer Bantam") as caught:
        ChatStore(database)
    assert "Update" in caught.value.hint
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.glob("chats.sqlite3*")] == ["chats.sqlite3"]


def test_an_older_database_goes_step_by_step_to_the_present(tmp_path: Path) -> None:
    steps = {0: "CREATE TABLE a (x);", 1: "ALTER TABLE a ADD y;\nUPDATE a SET y = 2;"}
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as db:
        migrate(db, 1, steps)
        db.execute("INSERT INTO a VALUES (1)")
        migrate(db, 2, steps)
        assert db.execute("SELECT * FROM a").fetchall() == [(1, 2)]
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_step_that_fails_is_undone_whole(tmp_path: Path) -> None:
    steps = {0: "CREATE TABLE a (x);", 1: "CREATE TABLE b (x);\nCREATE TABLE a (x);"}
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, 2, steps)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]


def test_a_script_is_split_at_statements_and_not_inside_triggers() -> None:
    script = (
        "CREATE TABLE a (x);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;\nSELECT ';';"
    )
    assert [statement.split()[1] for statement in statements(script)] == ["TABLE", "TRIGGER", "';';"]


def test_the_list_is_read_from_its_index(store: ChatStore, database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM conversations WHERE deleted_at IS NULL"
            " ORDER BY updated_at DESC, number DESC LIMIT 200"
        ).fetchall()
    assert "USING INDEX conversations_by_time" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
