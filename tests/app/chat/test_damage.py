"""Damaged databases: what can be read is there again, the rest is kept aside, and a sentence says so."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from app.chat.conversation import Conversation
from app.chat.salvage import SIDE_FILES, UNREADABLE
from app.chat.store import ChatStore
from app.errors import StorageError

Say = Callable[..., Conversation]
PAGE = 4096
TEXT = "a sentence about salvaging things, "


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 conversations of 6 messages, about half a MB, closed in order."""
    path = tmp_path_factory.mktemp("template") / "chats.sqlite3"
    with ChatStore(path) as store:
        for number in range(40):
            conversation = store.create(f"prompt {number}")
            parent = None
            for turn in range(6):
                text = f"chat {number} turn {turn}\n" + TEXT * (1 + (number * 7 + turn) % 40)
                parent = store.add_user_message(conversation.id, parent, text).id
        store.save_preset("Mine", conversation.sampling)
    assert not path.with_name("chats.sqlite3-wal").exists()
    return path


@pytest.fixture
def filled(template: Path, database: Path) -> Path:
    shutil.copyfile(template, database)
    return database


def aside(database: Path) -> list[Path]:
    return sorted(database.parent.glob("chats.sqlite3.damaged-*"))


def texts(store: ChatStore) -> set[str]:
    return {m.content for s in store.list(limit=1000) for m in store.all_messages(s.id)}


def root_page(database: Path, name: str) -> int:
    with contextlib.closing(sqlite3.connect(database)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def leaf_pages(database: Path) -> list[int]:
    """Pages (from 0) with rows of messages: leaves of a table that hold the text."""
    data = database.read_bytes()
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    return [n for n, page in enumerate(pages) if n and page[0] == 0x0D and b"turn" in page and b"user" in page]


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_sound_database_gives_no_notice(filled: Path) -> None:
    with ChatStore(filled) as store:
        assert store.notice == ""
        assert len(texts(store)) == 240
    assert aside(filled) == []


def test_pages_of_zeros_cost_only_what_was_on_them(filled: Path) -> None:
    leaves = leaf_pages(filled)
    lost_page = filled.read_bytes()[leaves[5] * PAGE : (leaves[5] + 1) * PAGE]
    overwrite(filled, leaves[5] * PAGE, bytes(PAGE))
    damaged = filled.read_bytes()
    with ChatStore(filled) as store:
        notice = store.notice
        assert "40 chats with" in notice
        assert "could not be read" in notice
        saved = texts(store)
        assert 240 - lost_page.count(b"turn") - 5 <= len(saved) < 240
        assert store.list("salvaging", limit=1000)
        assert [preset.name for preset in store.presets()] == ["Mine"]
        assert all(store.get(s.id).path[-1].content for s in store.list(limit=1000))
        assert store.get(store.list()[0].id).system_prompt.startswith("prompt")
    kept = aside(filled)
    assert kept[0].read_bytes() == damaged
    assert kept[0].name in notice
    with ChatStore(filled) as again:
        assert again.notice == ""
        assert texts(again) == saved


def test_a_branch_with_a_hole_is_still_one_branch(filled: Path) -> None:
    leaves = leaf_pages(filled)
    for leaf in leaves[10:20:3]:
        overwrite(filled, leaf * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        for summary in store.list(limit=1000):
            assert len(store.get(summary.id).path) == len(store.all_messages(summary.id))


def test_the_header_of_rubbish(filled: Path) -> None:
    overwrite(filled, 0, b"\xde\xad\xbe\xef" * 25)
    with ChatStore(filled) as store:
        assert "40 chats with 240 messages were saved" in store.notice
        assert len(texts(store)) == 240


def test_the_first_page_of_zeros(filled: Path) -> None:
    overwrite(filled, 0, bytes(PAGE))
    with ChatStore(filled) as store:
        assert "40 chats with 240 messages were saved" in store.notice


def test_a_truncated_file(filled: Path) -> None:
    leaves = leaf_pages(filled)
    with filled.open("r+b") as file:
        file.truncate(leaves[len(leaves) // 2] * PAGE + 100)
    with ChatStore(filled) as store:
        assert "chats with" in store.notice
        assert 40 < len(texts(store)) < 240


@pytest.mark.parametrize("tables", [["messages"], ["conversations", "messages"]])
def test_the_root_of_a_table_costs_nothing(filled: Path, tables: list[str]) -> None:
    roots = [root_page(filled, table) for table in tables]
    for root in roots:
        overwrite(filled, (root - 1) * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert "40 chats with 240 messages were found" in store.notice
        assert len(texts(store)) == 240
        assert len(store.list(limit=1000)) == 40
        assert all(len(store.get(s.id).path) == 6 for s in store.list(limit=1000))


def test_the_first_quarter_of_zeros(filled: Path) -> None:
    size = filled.stat().st_size
    overwrite(filled, 0, bytes(size // 4 // PAGE * PAGE))
    with ChatStore(filled) as store:
        assert len(texts(store)) > 100
        assert all(text.startswith(("chat ", "[")) for text in texts(store))


def test_purged_chats_do_not_come_back(filled: Path) -> None:
    with ChatStore(filled) as store:
        for summary in store.list(limit=20):
            store.delete(summary.id)
        store.purge_deleted(older_than_s=-1)
    overwrite(filled, (root_page(filled, "messages") - 1) * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert "20 chats with 120 messages were found" in store.notice


def test_the_root_of_an_index_costs_nothing(filled: Path) -> None:
    overwrite(filled, (root_page(filled, "messages_by_conversation") - 1) * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert "240 messages were saved" in store.notice
        assert len(texts(store)) == 240


def test_lost_conversations_leave_their_messages(filled: Path) -> None:
    overwrite(filled, (root_page(filled, "conversations") - 1) * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert "40 chats with 240 messages were" in store.notice
        assert {s.title.split(" turn")[0] for s in store.list(limit=100)} == {f"chat {n}" for n in range(40)}


def test_a_long_message_with_a_lost_page_keeps_its_place(database: Path) -> None:
    with ChatStore(database) as store:
        conversation = store.create()
        first = store.add_user_message(conversation.id, None, "question")
        long = store.add_user_message(conversation.id, first.id, "long " * 10_000)
        store.add_user_message(conversation.id, long.id, "after")
    data = database.read_bytes()
    pages = [n for n in range(1, len(data) // PAGE) if data[n * PAGE + 4 : (n + 1) * PAGE].count(b"long ") > 800]
    overwrite(database, pages[3] * PAGE, b"\xff" * PAGE)
    with ChatStore(database) as store:
        assert "could not be read" in store.notice
        assert [m.content for m in store.get(conversation.id).path] == ["question", UNREADABLE, "after"]


@pytest.mark.parametrize(("where", "kept_aside"), [("id > 10", False), ("id >= 10", True)])
def test_a_corrupt_search_index_is_made_anew(filled: Path, where: str, kept_aside: bool) -> None:
    with contextlib.closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute(f"UPDATE message_search_data SET block = x'ff00ff00ff00ff00ff' WHERE {where}")
    with ChatStore(filled) as store:
        store.add_user_message(store.list()[0].id, None, "written after the repair")
        assert len(store.list("salvaging", limit=1000)) == 40
        assert store.list("after the repair")
        assert len(texts(store)) == 241
    assert bool(aside(filled)) == kept_aside


def test_a_lost_search_table_is_made_anew_or_salvaged(filled: Path) -> None:
    overwrite(filled, (root_page(filled, "message_search_data") - 1) * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert len(store.list("salvaging", limit=1000)) == 40
        assert len(texts(store)) == 240


def test_damage_found_while_running_is_mended_and_the_message_saved(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chat.database.QUICKLY_CHECKED_BYTES", 0)
    leaf = leaf_pages(filled)[-1]
    overwrite(filled, leaf * PAGE, bytes(PAGE))
    with ChatStore(filled) as store:
        assert store.notice == ""
        newest = store.list()[0]
        message = store.add_user_message(newest.id, None, "still saved")
        assert "chats with" in store.notice
        assert store.get(newest.id).path[-1] == message


@pytest.mark.parametrize("rubbish", [b"\0" * 50_000, b"this is no database " * 500, b"\xff" * 3])
def test_nothing_to_be_saved(database: Path, say: Say, rubbish: bytes) -> None:
    database.write_bytes(rubbish)
    with ChatStore(database) as store:
        assert "nothing could be read" in store.notice
        say(store, "a new start")
    assert [path.read_bytes() for path in aside(database)] == [rubbish]


def test_an_empty_file_is_a_new_database(database: Path, say: Say) -> None:
    database.touch()
    with ChatStore(database) as store:
        assert store.notice == ""
        assert say(store, "hello").title == "hello"


@pytest.fixture
def unclosed(database: Path) -> tuple[Path, Path]:
    """A database and its log as a crash leaves them: one chat in the file, a second only in the log."""
    with ChatStore(database) as store:
        store.add_user_message(store.create().id, None, "in the file")
    crashed = database.with_name("crashed")
    crashed.mkdir()
    with ChatStore(database) as store:
        store.add_user_message(store.create().id, None, "in the log")
        for end in ("", "-wal"):
            (crashed / f"chats.sqlite3{end}").write_bytes(database.with_name(f"chats.sqlite3{end}").read_bytes())
    return crashed / "chats.sqlite3", crashed / "chats.sqlite3-wal"


def test_a_sound_log_is_read(unclosed: tuple[Path, Path]) -> None:
    with ChatStore(unclosed[0]) as store:
        assert texts(store) == {"in the file", "in the log"}
        assert store.notice == ""


def test_a_log_of_rubbish_is_kept_aside_and_said(unclosed: tuple[Path, Path]) -> None:
    database, log = unclosed
    rubbish = b"\x55" * log.stat().st_size
    log.write_bytes(rubbish)
    with ChatStore(database) as store:
        assert texts(store) == {"in the file"}
        assert "last changes" in store.notice
    kept = list(database.parent.glob("chats.sqlite3-wal.damaged-*"))
    assert [path.read_bytes() for path in kept] == [rubbish]


def test_a_log_with_rubbish_at_its_end_is_read_up_to_there(unclosed: tuple[Path, Path]) -> None:
    database, log = unclosed
    overwrite(log, log.stat().st_size - 50, b"\x55" * 50)
    with ChatStore(database) as store:
        assert "in the file" in texts(store)


def test_without_room_to_save_what_can_be_read_the_damaged_file_stays(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite(filled, leaf_pages(filled)[5] * PAGE, bytes(PAGE))
    before = filled.read_bytes()
    connect = sqlite3.connect

    def small(path: object, *args: object, **more: object) -> sqlite3.Connection:
        db = connect(path, *args, **more)  # type: ignore[call-overload]
        if str(path).endswith(".part"):
            db.execute("PRAGMA max_page_count = 40")
        return db

    monkeypatch.setattr("app.chat.database.sqlite3.connect", small)
    with pytest.raises(StorageError, match="disk is full"):
        ChatStore(filled)
    assert filled.read_bytes() == before
    assert {path.name for path in filled.parent.glob("chats*")} <= {f"chats.sqlite3{end}" for end in SIDE_FILES}
