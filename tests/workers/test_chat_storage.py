"""The chat database on its own thread: in order, answered on the window's thread, nothing lost at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from app.chat.store import ChatStore
from app.errors import StorageError
from workers.chat_storage import ChatStorage


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


@pytest.fixture
def storage(qtbot: QtBot, database: Path) -> Iterator[ChatStorage]:
    storage = ChatStorage(database)
    yield storage
    storage.close()


def test_a_result_arrives_on_the_windows_thread(storage: ChatStorage, qtbot: QtBot) -> None:
    ran_on: list[int] = []
    arrived: list[tuple[str, bool]] = []

    def create(store: ChatStore) -> str:
        ran_on.append(threading.get_ident())
        return store.create().title

    storage.run(create, lambda title: arrived.append((title, QThread.currentThread().isMainThread())))
    assert arrived == []
    qtbot.waitUntil(lambda: bool(arrived))
    assert arrived == [("New chat", True)]
    assert ran_on != [threading.get_ident()]


def test_functions_run_in_order_and_one_at_a_time(storage: ChatStorage, qtbot: QtBot) -> None:
    first_may_end = threading.Event()
    ran: list[int] = []
    arrived: list[int] = []

    def slow(store: ChatStore) -> int:
        first_may_end.wait(10)
        ran.append(0)
        return 0

    def quick(number: int) -> int:
        ran.append(number)
        return number

    storage.run(slow, arrived.append)
    for number in range(1, 20):
        storage.run(lambda store, number=number: quick(number), arrived.append)
    assert ran == []
    first_may_end.set()
    qtbot.waitUntil(lambda: len(arrived) == 20)
    assert ran == arrived == list(range(20))


def test_an_error_is_told_to_who_asked(storage: ChatStorage, qtbot: QtBot) -> None:
    told: list[tuple[str, str]] = []
    results: list[object] = []
    storage.run(lambda store: store.get("nowhere"), results.append, lambda *said: told.append(said))
    storage.run(lambda store: store.list(), results.append)
    qtbot.waitUntil(lambda: bool(results))
    assert told == [("This chat is no longer there.", "")]
    assert results == [()]


def test_an_error_nobody_asked_for_is_a_signal(storage: ChatStorage, qtbot: QtBot) -> None:
    def fail(store: ChatStore) -> None:
        raise StorageError("It failed.", "Try again.")

    with qtbot.waitSignal(storage.failed) as signal:
        storage.run(fail)
    assert signal.args == ["It failed.", "Try again."]


def test_a_bug_is_told_and_reaches_the_except_hook(storage: ChatStorage, qtbot: QtBot) -> None:
    told: list[tuple[str, str]] = []
    with qtbot.captureExceptions() as raised:
        storage.run(lambda store: 1 // 0, on_error=lambda *said: told.append(said))
        qtbot.waitUntil(lambda: bool(raised))
    assert raised[0][0] is ZeroDivisionError
    assert "inside Bantam" in told[0][0]


def test_a_database_that_cannot_be_opened_fails_each_function_until_it_can(qtbot: QtBot, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    storage = ChatStorage(folder / "chats.sqlite3")
    told: list[str] = []
    results: list[object] = []
    for _ in range(2):
        storage.run(lambda store: store.list(), results.append, lambda sentence, hint: told.append(sentence))
    qtbot.waitUntil(lambda: len(told) == 2)
    assert "could not be opened" in told[0]
    folder.mkdir()
    storage.run(lambda store: store.list(), results.append)
    qtbot.waitUntil(lambda: results == [()])
    storage.close()


def test_a_damaged_database_is_said_once(database: Path, qtbot: QtBot) -> None:
    database.write_bytes(b"no database" * 1000)
    storage = ChatStorage(database)
    notices: list[str] = []
    results: list[object] = []
    storage.notice.connect(notices.append)
    storage.run(lambda store: store.create().id, results.append)
    storage.run(lambda store: len(store.list()), results.append)
    qtbot.waitUntil(lambda: len(results) == 2)
    assert len(notices) == 1
    assert "damaged" in notices[0]
    assert results[1] == 1
    storage.close()


def test_closing_waits_for_what_is_queued_and_drops_its_results(qtbot: QtBot, database: Path) -> None:
    storage = ChatStorage(database)
    arrived: list[object] = []
    for number in range(50):
        storage.run(lambda store, number=number: store.create(str(number)), arrived.append)
    storage.close()
    storage.run(lambda store: store.create("too late"), arrived.append)
    qtbot.wait(1)
    assert arrived == []
    with ChatStore(database) as store:
        assert len(store.list()) == 50
    assert not database.with_name("chats.sqlite3-wal").exists()


def test_a_failure_of_the_last_moment_is_not_silent(qtbot: QtBot, database: Path) -> None:
    storage = ChatStorage(database)
    failures: list[str] = []
    storage.failed.connect(lambda sentence, hint: failures.append(sentence))
    storage.run(lambda store: store.get("nowhere"), on_error=lambda *said: pytest.fail("its page is gone"))
    storage.close()
    assert failures == ["This chat is no longer there."]


def test_closing_twice_is_closing_once(qtbot: QtBot, database: Path) -> None:
    storage = ChatStorage(database)
    storage.close()
    storage.close()


def test_chats_deleted_long_ago_are_removed_at_the_start(
    qtbot: QtBot, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatStore(database) as store:
        old, new = store.create(), store.create()
        with monkeypatch.context() as past:
            past.setattr("app.chat.store.time.time", lambda: 1_000_000.0)
            store.delete(old.id)
        store.delete(new.id)
    storage = ChatStorage(database)
    found: list[object] = []
    storage.run(lambda store: store.get(new.id).id, found.append)
    storage.run(lambda store: store.get(old.id), on_error=lambda *said: found.append(said[0]))
    qtbot.waitUntil(lambda: len(found) == 2)
    assert found == [new.id, "This chat is no longer there."]
    storage.close()
