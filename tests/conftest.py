"""For every test: no display, a data folder of its own, few threads, and nothing left running behind it.

Imports no Qt, so that tests/app runs where PySide6 is not installed. Environment variables are set here, at import,
because Qt and the OpenMP runtime read them when they load.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SESSION_HOME = Path(tempfile.mkdtemp(prefix="bantam-tests-"))
GRACE_S = 3.0  # what was told to end may take this long to do so

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["BANTAM_HOME"] = str(SESSION_HOME)  # for fixtures wider than one test; each test gets its own below
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Know pytest-qt's settings where pytest-qt is absent: pyproject.toml holds them for the whole suite."""
    if not pluginmanager.hasplugin("pytest-qt"):
        for name in ("qt_api", "qt_log_level_fail"):
            parser.addini(name, "read by pytest-qt, which is not loaded in this run", default=None)


def pytest_unconfigure() -> None:
    shutil.rmtree(SESSION_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def bantam_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of this test; not made yet, so that a test also covers a first start."""
    home = tmp_path / "bantam-home"
    monkeypatch.setenv("BANTAM_HOME", str(home))
    for name in ("HOME", "USERPROFILE"):  # where other programs' models would be found
        monkeypatch.setenv(name, str(tmp_path / "user"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS", "XDG_DATA_HOME", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(autouse=True)
def nothing_left_running(bantam_home: Path) -> Iterator[None]:
    """Fail a test that leaves a thread or a child process behind; end the process, so that the next test is clean."""
    threads, children = set(threading.enumerate()), set(_children())
    yield
    left = [*_threads_left(threads), *_children_left(children)]
    if left:
        pytest.fail("left running: " + "; ".join(left), pytrace=False)


def _threads_left(before: set[threading.Thread]) -> list[str]:
    left = [thread for thread in threading.enumerate() if thread not in before and not _is_allowed(thread)]
    for thread in left:
        thread.join(GRACE_S)
    return [f"thread {thread.name}" for thread in left if thread.is_alive()]


def _is_allowed(thread: threading.Thread) -> bool:
    # A thread that Qt started shows up as a dummy and stays listed after it has ended; tqdm keeps one monitor for all.
    return isinstance(thread, threading._DummyThread) or type(thread).__name__ == "TMonitor"


def _children_left(before: set[psutil.Process]) -> list[str]:
    left = [child for child in _children() if child not in before]
    _, alive = psutil.wait_procs(left, timeout=GRACE_S) if left else ([], [])
    described = []
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            described.append(f"process {child.pid} {' '.join(child.cmdline())[:200]}")
            child.kill()
    psutil.wait_procs(alive, timeout=GRACE_S)
    return described


def _children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            # multiprocessing keeps one resource tracker for the life of the program.
            if child.status() != psutil.STATUS_ZOMBIE and not any(
                "resource_tracker" in word for word in child.cmdline()
            ):
                found.append(child)
    return found
