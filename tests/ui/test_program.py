"""The program as a process: what a start imports, refuses, raises, and that a first start ends up ready to chat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import load_settings, load_window_state
from app.system.paths import STARTER_MODEL

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "llama_cpp", "numpy", "pyqtgraph", "huggingface_hub")

AFTER_FIRST_PAINT = f"""
import sys
import ui.program
def begin(program):
    print(sorted(set({HEAVY!r}) & set(sys.modules)))
    program.window.close()
ui.program.Program._begin = begin
"""

UNTIL_LOADED = """
import ui.program
made = ui.program.Program.__init__
def make(program, *arguments):
    made(program, *arguments)
    program.engine.failed.connect(lambda failure: (print(failure), program.window.close()))
    program.engine.model_loaded.connect(lambda model: (print(model.path.name), program.window.close()))
ui.program.Program.__init__ = make
"""

UNTIL_RAISED = """
import ui.program
raised = ui.program.MainWindow.raise_to_front
def raise_and_close(window):
    raised(window)
    print("raised", flush=True)
    window.close()
ui.program.MainWindow.raise_to_front = raise_and_close
ui.program.Program._begin = lambda program: print("open", flush=True)
"""

DIALOG_ON_STDOUT = """
import ui.program, ui.startup.application
ui.startup.application.QMessageBox.exec = lambda box: print("dialog:", box.text(), box.informativeText())
"""


def start(prepare: str) -> subprocess.Popen[str]:
    code = f"{prepare}\nimport sys\nfrom ui.app import main\nsys.exit(main())\n"
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
import ui.program
def fail(*arguments):
    raise ArithmeticError("on purpose")
ui.program.Program = fail
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
import ui.program
shown = ui.program.MainWindow.show
def tell(window):
    shown(window)
    window.notice.say = lambda sentence, *more: (print(sentence), window.close())
ui.program.MainWindow.show = tell
"""
    code, output, errors = run(told)
    assert code == 0, errors
    assert "The settings could not be read" in output
    assert (bantam_home / "settings.json.damaged").exists()


CRASH = """
import ctypes, ui.program
ui.program.Program._begin = lambda program: ctypes.string_at(0)
"""

KILLED = """
import os, ui.program
ui.program.Program._begin = lambda program: os.kill(os.getpid(), 9)
"""

UNTIL_TOLD = """
import ui.program
from PySide6.QtWidgets import QApplication
begun = ui.program.Program._begin
def begin(program):
    begun(program)
    bar = program.window.notice
    print(bar.sentence, list(bar.buttons()), flush=True)
    if "Copy report" in bar.buttons():
        bar.buttons()["Copy report"].click()
        print(QApplication.clipboard().text(), bar.sentence)
    program.window.close()
ui.program.Program._begin = begin
"""


def test_a_crash_of_the_window_is_told_at_the_next_start_and_once() -> None:
    assert run(CRASH)[0] != 0
    code, output, errors = run(UNTIL_TOLD)
    assert code == 0, errors
    assert "Bantam crashed: it touched memory that is not its own (SIGSEGV)" in output
    assert "['Copy report']" in output
    assert "ctypes/__init__.py" in output
    assert "The report is on the clipboard" in output
    assert run(UNTIL_TOLD)[1] == "[]"


def test_a_killed_window_is_told_from_a_crash() -> None:
    assert run(KILLED)[0] != 0
    output = run(UNTIL_TOLD)[1]
    assert "was ended from outside" in output
    assert output.endswith("[]")


def test_the_end_of_the_session_is_an_end_in_order(bantam_home: Path) -> None:
    process = start("import ui.program\nui.program.Program._begin = lambda program: print('open', flush=True)")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (bantam_home / "window.json").exists()
    assert run(UNTIL_TOLD)[1] == "[]"


def bantam(*arguments: str, **variables: str) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment | variables, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize(("variables", "why"), [({}, "no display"), ({"DISPLAY": ":1977"}, "display :1977")])
def test_without_a_display_there_is_a_sentence_and_no_trace(variables: dict[str, str], why: str) -> None:
    code, errors = bantam(**variables)
    assert code == 1
    assert why in errors
    assert "bantam chat" in errors
    assert len(errors.splitlines()) == 1


STARTED_WITH_A_FILE = (
    UNTIL_LOADED
    + """
import sys
from app import __main__
sys.argv = ["bantam", sys.argv[1]]
print(__main__.main())
sys.exit()
"""
)


def test_a_model_in_a_folder_of_any_name_is_opened_where_it_lies(tmp_path: Path, monkeypatch) -> None:
    home = tmp_path / "Zoë Größe 模型"
    monkeypatch.setenv("BANTAM_HOME", str(home / "Meine Daten"))
    home.mkdir()
    file = home / "ein Modell é.gguf"
    file.symlink_to(STARTER_MODEL)
    command = [sys.executable, "-c", STARTED_WITH_A_FILE, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ein Modell é.gguf\n0\n", done.stderr
    assert load_settings(home / "Meine Daten" / "settings.json").model_files == (str(file),)
    assert load_window_state(home / "Meine Daten" / "window.json", home / "none.json").last_model == str(file)
