"""The suite's own guards: each must fail a test that deserves it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of its own with our conftest.py, which waits less."""
    pytester.makeconftest(CONFTEST.read_text("utf-8").replace("GRACE_S = 3.0", "GRACE_S = 0.05"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def outcome(suite: pytest.Pytester, source: str) -> pytest.RunResult:
    suite.makepyfile(source)
    return suite.runpytest_subprocess("-p", "no:pytest-qt", "-p", "no:cacheprovider")


def test_a_child_left_behind_fails_the_test(suite: pytest.Pytester) -> None:
    result = outcome(
        suite,
        f"""
        import subprocess
        left = []
        def test_leaves_a_child():
            left.append(subprocess.Popen([{sys.executable!r}, "-c", "input()"], stdin=subprocess.PIPE))
        def test_next():
            assert left[0].poll() is not None
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*left running: process *input()*"])


def test_a_thread_left_behind_fails_the_test(suite: pytest.Pytester) -> None:
    result = outcome(
        suite,
        """
        import threading
        end = threading.Event()
        def test_leaves_a_thread():
            threading.Thread(target=end.wait, name="left-over").start()
        def test_next():
            end.set()
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*left running: thread left-over*"])


def test_what_ended_in_time_is_no_fault(suite: pytest.Pytester) -> None:
    result = outcome(
        suite,
        f"""
        import subprocess, threading
        def test_tidy():
            thread = threading.Thread(target=print); thread.start(); thread.join()
            subprocess.run([{sys.executable!r}, "-c", "pass"], check=True)
        """,
    )
    result.assert_outcomes(passed=1)


def test_each_test_has_a_data_folder_of_its_own(bantam_home: Path, tmp_path: Path) -> None:
    assert os.environ["BANTAM_HOME"] == str(bantam_home)
    assert bantam_home.parent == tmp_path
    assert not bantam_home.exists()
