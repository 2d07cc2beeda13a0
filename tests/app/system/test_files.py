import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.errors import StorageError
from app.system.files import held, is_taken, locked, read_json, remove_left_over, taken, update_json, write_atomic

ROOT = Path(__file__).parents[3]
COUNT = """
import sys
from pathlib import Path
from app.system.files import update_json
for _ in range(50):
    update_json(Path(sys.argv[1]), lambda stored: {"count": stored.get("count", 0) + 1})
"""


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_whatever_is_not_json_is_a_value_error(tmp_path, content):
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011  (json has several messages)
        read_json(file)


def test_json_is_read(tmp_path):
    file = tmp_path / "file.json"
    file.write_text('{"a": [1, "é"]}', encoding="utf-8")
    assert read_json(file) == {"a": [1, "é"]}


def test_two_programs_and_threads_that_change_a_file_at_once_lose_nothing(tmp_path):
    file = tmp_path / "counts.json"
    programs = [subprocess.Popen([sys.executable, "-c", COUNT, str(file)], cwd=ROOT) for _ in range(2)]

    def count() -> None:
        for _ in range(50):
            update_json(file, lambda stored: {"count": stored.get("count", 0) + 1})

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [program.wait(60) for program in programs] == [0, 0]
    assert read_json(file) == {"count": 200}
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]


def test_without_the_lock_the_same_would_lose_some(tmp_path):
    """The control, step by step: two who have read before either writes."""
    file = tmp_path / "counts.json"
    update_json(file, lambda _stored: {"count": 1})
    first, second = read_json(file), read_json(file)
    for stored in (first, second):
        write_atomic(file, json.dumps({"count": stored["count"] + 1}).encode())
    assert read_json(file) == {"count": 2}, "and not 3"


def test_two_writers_do_not_share_a_part(tmp_path, monkeypatch):
    file = tmp_path / "file.json"
    replace = Path.replace

    def with_another_in_between(part: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        write_atomic(file, b"theirs")
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", with_another_in_between)
    write_atomic(file, b"ours")
    assert file.read_bytes() == b"ours"
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_change_that_fails_gives_the_lock_back_and_changes_nothing(tmp_path):
    file = tmp_path / "file.json"
    update_json(file, lambda _stored: {"a": 1})
    with pytest.raises(ZeroDivisionError):
        update_json(file, lambda _stored: {"a": 1 // 0})
    with locked(file):
        assert read_json(file) == {"a": 1}


@pytest.mark.skipif(os.name != "posix", reason="other systems keep what is whose in other ways")
def test_small_files_are_the_users_alone(tmp_path):
    write_atomic(tmp_path / "file.json", b"{}")
    assert stat.S_IMODE((tmp_path / "file.json").stat().st_mode) == 0o600


HOLDER = """
import sys
from pathlib import Path
from app.system.files import taken
with taken(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Path]:
    """The output that another process is making."""
    output = tmp_path / "m.gguf"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield output
        process.kill()


def test_what_another_process_makes_is_its_own(holder: Path) -> None:
    assert is_taken(holder.with_name("m.gguf.part"))
    assert is_taken(holder.with_name("m.gguf.source.part")), "a step to the same file"
    assert not is_taken(holder.with_name("other.gguf.part"))
    with pytest.raises(StorageError, match="being made already"), taken(holder):
        pass


def test_it_is_free_again_once_that_process_is_gone(holder: Path) -> None:
    for child in psutil.Process().children():
        child.kill()
        child.wait(10)
    assert not is_taken(holder.with_name("m.gguf.part"))
    with taken(holder):
        assert is_taken(holder.with_name("m.gguf.part"))


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_what_dead_processes_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, folder, copies = (tmp_path / name for name in ("tmp", "data", "copies"))
    for place in (temporary, folder, copies):
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    dead, here = gone(), os.getpid()
    for number in (dead, here):
        (folder / f".settings.json.{number}-3.part").touch()
        (folder / f"chat-0123.kv.{number}-1.part").touch()
        (temporary / f"bantam-{number}-abc").mkdir()
        (temporary / f"bantam-{number}-abc" / "model.gguf").touch()
    for other in (folder / "settings.json", folder / "m.gguf.part", temporary / "bantam-tests-x", copies / "used.gguf"):
        other.touch()
    (copies / "left.gguf").touch()
    with held(copies / "used.gguf"):
        remove_left_over(folder, copies=copies)
    assert {path.name for path in folder.iterdir()} == {
        f".settings.json.{here}-3.part",
        f"chat-0123.kv.{here}-1.part",
        "settings.json",
        "m.gguf.part",
    }
    assert {path.name for path in temporary.iterdir()} == {f"bantam-{here}-abc", "bantam-tests-x"}
    assert [path.name for path in copies.iterdir()] == ["used.gguf"]
