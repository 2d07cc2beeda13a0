"""How the last run ended, told by real processes that end in each of the ways."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app import __version__
from app.diagnostics import last_run
from app.diagnostics.last_run import End, Run, last_crash_log
from app.system.paths import Paths, default_paths

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
from app.diagnostics.last_run import Run
from app.system.paths import default_paths
with Run(default_paths()) as run:
    {body}
"""


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


def run(body: str) -> int:
    code = PROGRAM.format(body=body)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60).returncode


def test_an_end_in_order_says_nothing(paths: Paths) -> None:
    assert run("pass") == 0
    assert Run(paths).bad_end is None
    assert not paths.running_marker.exists()


def test_an_exception_is_told_as_it_passes_and_not_again(paths: Paths) -> None:
    assert run("raise ArithmeticError") == 1
    assert Run(paths).bad_end is None


def test_a_crash_is_told_with_its_cause_and_once(paths: Paths) -> None:
    assert run("import ctypes; ctypes.string_at(0)") != 0
    with Run(paths) as now:
        assert now.bad_end is not None
        assert (now.bad_end.end, now.bad_end.version) == (End.CRASHED, __version__)
        assert "SIGSEGV" in now.bad_end.sentence
        assert "string_at" in last_crash_log(paths).read_text()
    assert Run(paths).bad_end is None


def test_a_kill_leaves_no_trace_and_is_no_crash(paths: Paths) -> None:
    assert run("os.kill(os.getpid(), 9)") != 0
    bad = Run(paths).bad_end
    assert bad is not None
    assert bad.end is End.KILLED
    assert "out of memory" in bad.sentence


def test_another_start_of_the_computer_is_told_from_a_kill(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    run("os.kill(os.getpid(), 9)")
    monkeypatch.setattr(last_run, "_boot", lambda: "another")
    bad = Run(paths).bad_end
    assert bad is not None
    assert bad.end is End.COMPUTER_WENT_DOWN


def test_a_crash_is_a_crash_even_when_the_computer_was_started_again(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("os.abort()")
    monkeypatch.setattr(last_run, "_boot", lambda: "another")
    bad = Run(paths).bad_end
    assert bad is not None
    assert "SIGABRT" in bad.sentence


def test_a_run_that_still_lives_has_not_ended(paths: Paths) -> None:
    code = PROGRAM.format(body="print(flush=True); sys.stdin.read()")
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe)
    assert other.stdout is not None
    other.stdout.readline()
    assert Run(paths).bad_end is None
    other.communicate(b"")


def test_another_process_with_its_number_is_not_that_run(paths: Paths) -> None:
    marker = {"pid": 1, "started": 12.0, "boot": last_run._boot(), "version": "0.0"}
    paths.running_marker.write_text(json.dumps(marker))
    bad = Run(paths).bad_end
    assert bad is not None
    assert (bad.end, bad.version) == (End.KILLED, "0.0")


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    with Run(Paths(tmp_path / "is not there")) as run:
        assert run.bad_end is None
