"""One window a data folder; a second start raises the first; a killed one is no obstacle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalServer

from app import __version__
from app.system.paths import Paths
from ui.startup.single_instance import Claim, SingleInstance, Visit, server_name

SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from ui.startup.single_instance import SingleInstance
app = QCoreApplication([])
print(SingleInstance(Path(sys.argv[1])).claim().name)
"""

KILLED = """
import os, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from ui.startup.single_instance import SingleInstance
app = QCoreApplication([])
one = SingleInstance(Path(sys.argv[1]))
print(one.claim().name, flush=True)
os.kill(os.getpid(), 9)
"""


def start(code: str, home: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
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
    first.findChild(QLocalServer).close()  # holds the lock, answers nobody
    second = start(SECOND.replace("app =", "import ui.startup.single_instance as s; s._WAIT_MS = 1; app ="), paths.home)
    assert second.communicate(timeout=20)[0].strip() == "OTHER_IS_SILENT"


SECOND_WITH_FILE = SECOND.replace("claim()", "claim(Path(sys.argv[2]))")


def test_a_second_start_hands_over_its_file(first: SingleInstance, paths: Paths, qtbot) -> None:
    first.claim()
    file = "/home/Zoë/ein Modell \udcff 模型.gguf"
    root = Path(__file__).parents[3]
    with qtbot.waitSignal(first.visited, timeout=20_000) as visited:
        second = subprocess.Popen(
            [sys.executable, "-c", SECOND_WITH_FILE, str(paths.home), file], stdout=subprocess.PIPE, text=True, cwd=root
        )
    assert visited.args[0].file == Path(file)
    assert visited.args[0].version == __version__
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=20_000)
    assert second.communicate()[0].strip() == "RAISED_OTHER"


@pytest.mark.parametrize("line", [b"raise", b"raise {", b"raise []", b'raise {"file": 1}', b"raise " + b"[" * 9000])
def test_a_start_of_another_version_only_raises(line: bytes) -> None:
    assert Visit.of_line(line) == Visit()


def test_a_visit_survives_the_line() -> None:
    visit = Visit("1.0", Path("/a b/é.gguf"), "token")
    assert Visit.of_line(visit.line().strip()) == visit
    assert visit.line().startswith(b"raise")  # all that the first version looks at
