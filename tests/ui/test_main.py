"""The program as a process: what a start imports, refuses, raises, and that a first start ends up ready to chat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "llama_cpp", "numpy", "pyqtgraph", "huggingface_hub")

AFTER_FIRST_PAINT = f"""
import sys
import ui.main
def begin(program):
    print(sorted(set({HEAVY!r}) & set(sys.modules)))
    program.window.close()
ui.main.Program._begin = begin
"""

UNTIL_LOADED = """
import ui.main
made = ui.main.Program.__init__
def make(program, *arguments):
    made(program, *arguments)
    program.engine.failed.connect(lambda failure: (print(failure), program.window.close()))
    program.engine.model_loaded.connect(lambda model: (print(model.path.name), program.window.close()))
ui.main.Program.__init__ = make
"""

UNTIL_RAISED = """
import ui.main
raised = ui.main.MainWindow.raise_to_front
def raise_and_close(window):
    raised(window)
    print("raised", flush=True)
    window.close()
ui.main.MainWindow.raise_to_front = raise_and_close
ui.main.Program._begin = lambda program: print("open", flush=True)
"""

DIALOG_ON_STDOUT = """
import ui.main
ui.main.QMessageBox.exec = lambda box: print("dialog:", box.text(), box.informativeText())
"""


def start(prepare: str) -> subprocess.Popen[str]:
    code = f"{prepare}\nimport sys\nfrom ui.main import main\nsys.exit(main())\n"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def run(prepare: str) -> tuple[int, str, str]:
    process = start(prepare)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output.strip(), errors


def test_start_imports_nothing_heavy(bantam_home: Path) -> None:
    assert run(AFTER_FIRST_PAINT)[:2] == (0, "[]")
    assert (bantam_home / "window.json").exists()


def test_heavy_import_would_be_seen() -> None:
    assert run("import numpy\n" + AFTER_FIRST_PAINT)[:2] == (0, "['numpy']")


def test_first_start_is_ready_to_chat(bantam_home: Path) -> None:
    code, output, errors = run(UNTIL_LOADED)
    assert (code, output) == (0, "stdlib-21m-Q8_0.gguf"), errors
    assert not (bantam_home / "loading.json").exists()


def test_second_start_raises_the_first() -> None:
    first = start(UNTIL_RAISED)
    assert first.stdout is not None
    assert first.stdout.readline() == "open\n"
    assert run("")[0] == 0
    output, errors = first.communicate(timeout=60)
    assert (first.returncode, output) == (0, "raised\n"), errors


def test_data_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a file"
    file.touch()
    monkeypatch.setenv("BANTAM_HOME", str(file / "home"))
    code, output, errors = run(DIALOG_ON_STDOUT)
    assert code == 1
    assert f"dialog: Bantam cannot write to its data folder {file / 'home'}" in output
    assert "set BANTAM_HOME" in output
    assert "cannot write to its data folder" in errors
    assert "Traceback" not in errors


FAILS_AT_THE_START = """
import ui.main
def fail(*arguments):
    raise ArithmeticError("on purpose")
ui.main.Program = fail
"""


def test_a_fault_before_there_is_a_window_is_told(bantam_home: Path) -> None:
    code, output, _ = run(DIALOG_ON_STDOUT + FAILS_AT_THE_START)
    assert code == 1
    assert "dialog: Something went wrong" in output
    assert "on purpose" in output
    assert str(bantam_home / "logs") in output


def test_settings_that_cannot_be_read_are_told_and_kept(bantam_home: Path) -> None:
    bantam_home.mkdir(exist_ok=True)
    (bantam_home / "settings.json").write_text("[" * 100_000)
    told = """
import ui.main
shown = ui.main.MainWindow.show
def tell(window):
    shown(window)
    window.notice.show_notice = lambda sentence, *more, **named: (print(sentence), window.close())
ui.main.MainWindow.show = tell
"""
    code, output, errors = run(told)
    assert code == 0, errors
    assert "The settings could not be read" in output
    assert (bantam_home / "settings.json.damaged").exists()
