"""What happens to a store from outside: it is killed while writing, another one writes too, the disk refuses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app
from app.chat.conversation import Conversation, MessageState
from app.chat.store import ChatStore
from app.errors import StorageError

Say = Callable[..., Conversation]

WRITER = """
import sys
from pathlib import Path
from app.chat.store import ChatStore

store = ChatStore(Path(sys.argv[1]))
conversation = store.create()
question = store.add_user_message(conversation.id, None, "the question")
answer = store.begin_answer(conversation.id, question.id, "tiny")
for number in range(1, 10_000_000):
    store.update_answer(answer.id, "word " * number)
    print(number, flush=True)
"""


def python(*arguments: str) -> subprocess.Popen[str]:
    root = str(Path(app.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def killed_after(database: Path) -> Iterator[Callable[[int], int]]:
    """killed_after(n): kill a writer with SIGKILL once it said that update n is saved. Returns the last it said."""

    def run(updates: int) -> int:
        with python("-c", WRITER, str(database)) as writer:
            assert writer.stdout is not None
            said = 0
            while said < updates:
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split("\n")
        whole = [line for line in rest[:-1] if line]
        return int(whole[-1]) if whole else said

    return run


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("updates", [1, 7, 60])
def test_a_killed_writer_loses_nothing_it_had_saved(
    killed_after: Callable[[int], int], database: Path, updates: int
) -> None:
    said = killed_after(updates)
    with ChatStore(database) as store:
        assert store.notice == ""
        question, answer = store.get(store.list()[0].id).path
    assert question.content == "the question"
    assert answer.state is MessageState.INTERRUPTED
    # The kill may fall between the commit of one more update and its saying so.
    assert answer.content in ("word " * said, "word " * (said + 1))


def test_two_stores_write_to_one_database(database: Path) -> None:
    each, writers = 40, 2
    failures: list[StorageError] = []

    def write(name: str) -> None:
        try:
            with ChatStore(database) as store:
                conversation = store.create()
                for number in range(each):
                    store.add_user_message(conversation.id, None, f"{name} {number}")
        except StorageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"writer {n}",)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with ChatStore(database) as store:
        assert sorted(len(store.all_messages(s.id)) for s in store.list()) == [each] * writers


def test_stores_that_make_the_database_at_once_wait_for_each_other(tmp_path: Path) -> None:
    failures: list[StorageError] = []

    def open_one(path: Path, start: threading.Barrier) -> None:
        start.wait()
        try:
            ChatStore(path).close()
        except StorageError as error:
            failures.append(error)

    for number in range(60):  # without waiting about one in forty fails
        start = threading.Barrier(3)
        threads = [threading.Thread(target=open_one, args=(tmp_path / f"{number}.sqlite3", start)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_database_locked_by_another_program_is_said(
    database: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.setattr("app.chat.database.BUSY_TIMEOUT_S", 0.05)
    with ChatStore(database) as store:
        conversation = say(store, "before")
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program is using") as caught:
            store.add_user_message(conversation.id, conversation.leaf_id, "while locked")
        assert caught.value.hint
        assert [m.content for m in store.get(conversation.id).path] == ["before"]
        other.execute("COMMIT")
        other.close()
        store.add_user_message(conversation.id, conversation.leaf_id, "after")
        assert [m.content for m in store.get(conversation.id).path] == ["before", "after"]


def test_a_full_disk_is_said_and_loses_nothing(store: ChatStore, say: Say) -> None:
    conversation = say(store, "before", "answer")
    db = store._db
    assert db is not None
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StorageError, match=r"Your message could not be saved: the disk is full\."):
        store.add_user_message(conversation.id, conversation.leaf_id, "x" * 1_000_000)
    assert store.get(conversation.id) == conversation
    assert store.notice == ""
    db.execute("PRAGMA max_page_count = 1000000")
    store.add_user_message(conversation.id, conversation.leaf_id, "x" * 1_000_000)
    assert len(store.get(conversation.id).path) == 3


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened") as caught:
        ChatStore(tmp_path / "nowhere" / "chats.sqlite3")
    assert "data folder" in caught.value.hint


READER = """
import os
import sys
from pathlib import Path
from app.chat.store import ChatStore
from app.errors import StorageError

if os.geteuid() == 0:  # root may write everywhere
    os.setuid(65534)
try:
    store = ChatStore(Path(sys.argv[1]))
    store.create()
except StorageError as error:
    print(error.sentence)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("existing", [True, False])
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path, existing: bool, say: Say) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    database = folder / "chats.sqlite3"
    if existing:
        with ChatStore(database) as store:
            say(store, "hello")
    before = database.read_bytes() if existing else b""
    if existing:
        database.chmod(0o444)
    folder.chmod(0o555)
    for parent in folder.parents:
        if os.geteuid() == 0 and parent.owner() == "root" and parent != Path(parent.anchor):
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        with python("-c", READER, str(database)) as reader:
            said = reader.communicate()[0]
    finally:
        folder.chmod(0o755)
    assert "The chats could not be opened" in said
    assert "may not be written" in said or "cannot be opened" in said
    assert (database.read_bytes() if existing else b"") == before
