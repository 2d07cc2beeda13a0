"""What machine_record.json remembers, and when it is not believed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine import machine_record
from app.engine.messages import ThreadCounts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "machine.json"


@pytest.fixture
def full_record(path: Path) -> Path:
    machine_record.remember_safe_mode(path, "SIGSEGV")
    machine_record.remember_verified(path, "Q8_0")
    machine_record.remember_thread_counts(path, "small", ThreadCounts(2, 4))
    return path


def assert_nothing_remembered(path: Path) -> None:
    assert not machine_record.needs_safe_mode(path)
    assert machine_record.verified_file_types(path) == frozenset()
    assert machine_record.thread_counts(path, "small") is None


def test_nothing_is_known_at_first(path: Path) -> None:
    assert_nothing_remembered(path)
    assert not path.exists()


def test_each_fact_survives_the_others(full_record: Path) -> None:
    assert machine_record.needs_safe_mode(full_record)
    assert machine_record.read_record(full_record).safe_mode_reason == "SIGSEGV"
    assert machine_record.verified_file_types(full_record) == {"Q8_0"}
    assert machine_record.thread_counts(full_record, "small") == ThreadCounts(2, 4)
    assert machine_record.thread_counts(full_record, "large") is None


def test_safe_mode_without_a_reason_is_still_safe_mode(path: Path) -> None:
    machine_record.remember_safe_mode(path, "")
    assert machine_record.needs_safe_mode(path)


def test_verifying_again_does_not_write(path: Path) -> None:
    machine_record.remember_verified(path, "Q4_0")
    before = path.stat().st_ino
    machine_record.remember_verified(path, "Q4_0")
    assert path.stat().st_ino == before


def test_another_machine_is_not_believed(full_record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_record, "machine_fingerprint", lambda: "another processor")
    assert_nothing_remembered(full_record)
    machine_record.remember_verified(full_record, "Q4_0")
    assert machine_record.verified_file_types(full_record) == {"Q4_0"}


def test_thread_counts_for_another_number_of_cores_are_not_believed(
    full_record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable = machine_record.usable_cores()
    monkeypatch.setattr(machine_record, "usable_cores", lambda: usable + 1)
    assert machine_record.thread_counts(full_record, "small") is None
    assert machine_record.needs_safe_mode(full_record)


def damaged_records() -> list[str]:
    threads = {"small": {"counts": {"decode": 0, "prefill": 1}, "usable_cores": 2}}
    whole = {
        "fingerprint": machine_record.machine_fingerprint(),
        "safe_mode_reason": "x",
        "verified": [],
        "threads": threads,
    }
    return ["", "{", "[]", "null", "7", "{}", json.dumps(whole), json.dumps({**whole, "threads": [1]}), "\ud800"]


@pytest.mark.parametrize("text", damaged_records())
def test_a_damaged_file_is_empty_and_can_be_written_again(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert_nothing_remembered(path)
    machine_record.remember_safe_mode(path, "SIGILL")
    assert machine_record.needs_safe_mode(path)


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    machine_record.remember_safe_mode(tmp_path / "file" / "machine.json", "SIGSEGV")
    assert not machine_record.needs_safe_mode(tmp_path / "file" / "machine.json")


def test_size_classes_rise_with_size() -> None:
    names = [
        machine_record.size_class(size)
        for size in (0, 20_000_000, 200_000_000, 700_000_000, 5_000_000_000, 40_000_000_000)
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 5


def test_the_fingerprint_names_the_build_without_importing_it() -> None:
    script = "import sys, app.engine.machine_record as m; print(m.machine_fingerprint(), 'llama_cpp' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "llama-cpp-python" in result.stdout
    assert result.stdout.split()[-1] == "False"
