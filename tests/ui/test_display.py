"""No display is a sentence and exit code 1, and neither a page of Qt's nor an abort."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ui.display import reason

ROOT = Path(__file__).parents[2]
OURS = "from ui.display import open_application; open_application()"
BARE = "from PySide6.QtWidgets import QApplication; QApplication([])"


def start(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    left_out = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**environment, **changes}, capture_output=True, text=True
    )


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display to Qt")


@linux
def test_without_a_display_it_ends_with_a_sentence() -> None:
    done = start(OURS)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("There is no display to open a window on.")


@linux
def test_qt_alone_would_abort() -> None:
    assert start(BARE).returncode < 0


@linux
def test_a_display_that_is_not_there_is_named() -> None:
    done = start(OURS, DISPLAY=":987")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_where_there_is_one_nothing_is_said() -> None:
    done = start(OURS, QT_QPA_PLATFORM="offscreen")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reason_names_what_is_missing() -> None:
    assert "needs the library libxcb-cursor.so.0" in reason({"DISPLAY": ":7"}, "linux", has_x11_library=False)
    assert reason({"DISPLAY": ":7"}, "linux").startswith("The display :7 cannot be opened.")
    assert "“bogus”" in reason({"QT_QPA_PLATFORM": "bogus"}, "linux")
    assert reason({}, "darwin").startswith("The display cannot be opened.")
