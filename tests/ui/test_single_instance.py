"""One window a data folder; a second start raises the first; a killed one is no obstacle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.paths import Paths
from ui.single_instance import Claim, SingleInstance, server_name

SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from ui.single_instance import SingleInstance
app = QCoreApplication([])
print(SingleInstance(Path(sys.argv[1])).claim().name)
"""

KILLED = """
import os, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from ui.single_instance import SingleInstance
app = QCoreApplication([])
one = SingleInstance(Path(sys.argv[1]))
print(one.claim().name, flush=True)
os.kill(os.getpid(), 9)
"""


def start(code: str, home: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True, cwd=root)


@pytest.fixture
def first(qapp, paths: Paths):
    instance = SingleInstance(paths.home)
    yield instance
    instance.release()


def test_second_start_raises_the_first(first: SingleInstance, paths: Paths, qtbot) -> None:
    assert first.claim() is Claim.FIRST
    with qtbot.waitSignal(first.raise_requested, timeout=20_000):
        second = start(SECOND, paths.home)
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=20_000)
    assert second.communicate()[0].strip() == "RAISED_OTHER"


def test_a_lock_that_cannot_be_made_is_not_another_window(qapp, tmp_path: Path) -> None:
    assert SingleInstance(tmp_path / "is not there").claim() is Claim.NO_LOCK


def test_other_data_folder_is_another_window(first: SingleInstance, tmp_path: Path) -> None:
    first.claim()
    other = SingleInstance(tmp_path)
    assert other.claim() is Claim.FIRST
    other.release()
    assert server_name(tmp_path) == server_name(tmp_path / "x" / "..")


def test_killed_window_leaves_nothing_in_the_way(first: SingleInstance, paths: Paths) -> None:
    killed = start(KILLED, paths.home)
    assert killed.communicate(timeout=20)[0].strip() == "FIRST"
    assert first.claim() is Claim.FIRST


def test_released_lock_can_be_taken(first: SingleInstance, paths: Paths) -> None:
    first.claim()
    first.release()
    second = SingleInstance(paths.home)
    assert second.claim() is Claim.FIRST
    second.release()


def test_start_while_the_first_is_ending_becomes_the_next(first: SingleInstance, paths: Paths) -> None:
    first.claim()
    first.stop_answering()
    code = SECOND.replace("print", 'print("starting", flush=True); print')
    second = start(code, paths.home)
    assert second.stdout is not None
    assert second.stdout.readline() == "starting\n"
    first.release()
    assert second.communicate(timeout=20)[0].strip() == "FIRST"


def test_window_that_does_not_answer_is_told_apart(first: SingleInstance, paths: Paths) -> None:
    first.claim()
    first._server.close()  # holds the lock, answers nobody
    second = start(SECOND.replace("app =", "import ui.single_instance as s; s._WAIT_MS = 1; app ="), paths.home)
    assert second.communicate(timeout=20)[0].strip() == "OTHER_IS_SILENT"
