"""What the command line means: the window, the window with a model, or a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import _is_of_qt, opens_the_window

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "opens"),
    [
        (["model.gguf"], True),
        (["/a folder/MODEL.GGUF"], True),
        (["file:///a%20folder/model.gguf"], True),
        (["chat", "model.gguf"], False),
        (["--version"], False),
        (["models"], False),
        ([], True),
        (["--debug"], True),
        (["--debug", "model.gguf"], True),
        (["--debug", "models"], False),
    ],
)
def test_nothing_and_a_model_alone_open_the_window(arguments: list[str], opens: bool) -> None:
    assert opens_the_window(arguments) is opens


def test_without_qt_there_is_a_sentence_and_no_trace() -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "without_qt")}
    command = [sys.executable, "-m", "app"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Qt, which draws the window, cannot be loaded: No module named 'PySide6")
    assert "bantam chat" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "qt"),
    [
        (ImportError("libEGL.so.1: cannot open shared object file"), True),
        (ModuleNotFoundError("No module named 'x'", name="PySide6.QtWidgets"), True),
        (ModuleNotFoundError("No module named 'ui.x'", name="ui.x"), False),
    ],
)
def test_a_fault_of_bantams_own_is_no_missing_library(error: ImportError, qt: bool) -> None:
    assert _is_of_qt(error) is qt
