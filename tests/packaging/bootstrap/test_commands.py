"""start.py from the outside: any Python can read it, errors are sentences, checks report honestly."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from bootstrap import checks, commands
from bootstrap.checks import Check, run_checks
from bootstrap.console import SetupError
from bootstrap.environment import Environment
from bootstrap.installation import PROJECT

SOURCES = sorted([PROJECT / "packaging/start.py", *(PROJECT / "packaging/bootstrap").glob("*.py")])
HERE = Environment(Path(sys.prefix))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_an_old_python_can_read_it(source: Path) -> None:
    ast.parse(source.read_text("utf-8"), feature_version=(3, 8))


def test_that_reading_notices_newer_syntax() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("match 1:\n    case 1: pass\n", feature_version=(3, 8))


def test_an_error_is_a_sentence_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise SetupError("Something is missing.", "sudo apt-get install something")

    monkeypatch.setattr(commands, "_run", fail)
    monkeypatch.setattr(commands, "_end_like_ctrl_c", lambda: None)
    assert commands.main([]) == 1
    assert capsys.readouterr().err == "\nSomething is missing.\n  sudo apt-get install something\n"


def test_no_display_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SetupError, match="no display"):
        commands._check_display()
    monkeypatch.setenv("DISPLAY", ":0")
    commands._check_display()


def test_no_display_is_said_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_display() -> None:
        raise SetupError("There is no display.")

    def set_up() -> None:
        pytest.fail("the set-up began")

    monkeypatch.setattr(commands, "_check_display", no_display)
    monkeypatch.setattr(commands.installation, "set_up", set_up)
    monkeypatch.setattr(commands, "_end_like_ctrl_c", lambda: None)
    assert commands.main([]) == 1


def test_an_unknown_command_is_refused() -> None:
    command = [sys.executable, str(PROJECT / "packaging/start.py"), "tset"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "tset" in refused.stderr


def test_one_failed_check_fails_all_and_the_rest_still_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    three = [
        Check("First", ["-c", "print('one')"]),
        Check("Second", ["-c", "raise SystemExit(5)"]),
        Check("Third", ["-c", "print('three')"]),
    ]
    assert run_checks(HERE, tmp_path, three) == 1
    out = capfd.readouterr().out
    assert "three" in out
    assert [line[:13] for line in out.splitlines()[-3:]] == ["passed  First", "FAILED  Secon", "passed  Third"]
    assert run_checks(HERE, tmp_path, three[::2]) == 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What start.py does in place of the set-up and the checks: its extras, then (module or program, paths) of each."""
    done: list[object] = []

    def set_up(extras: object = ()) -> Environment:
        done.append(extras)
        return HERE

    def run(command: list[str], **_: object) -> int:
        assert command[0] == str(HERE.python)
        done.append(" ".join(command[1:]))
        return 0

    monkeypatch.setattr(commands.installation, "set_up", set_up)
    monkeypatch.setattr(commands.system_packages, "missing_libraries", lambda _: [])
    monkeypatch.setattr(subprocess, "call", run)
    monkeypatch.setattr(commands.signal, "signal", lambda *_: None)
    return done


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("lint", ["-m ruff check .", f"-c {checks.LAYERS}", "-m vulture"]),
        ("lint app ui", ["-m ruff check app ui", f"-c {checks.LAYERS}", "-m vulture"]),
        ("types", ["-m mypy"]),
        ("types app/errors.py", ["-m mypy app/errors.py"]),
        ("fmt", ["-m ruff check --select I --fix .", "-m ruff format ."]),
        ("fmt app", ["-m ruff check --select I --fix app", "-m ruff format app"]),
        ("test tests/app -k x", ["-m pytest tests/app -k x"]),
    ],
)
def test_each_habit_is_one_command_with_its_set_up(started: list[object], arguments: str, expected: list[str]) -> None:
    assert commands.main(arguments.split()) == 0
    assert started == [["test"], *expected]


def test_all_of_them_are_in_the_whole_run(started: list[object]) -> None:
    assert commands.main(["test"]) == 0
    whole = started.copy()
    started.clear()
    for part in ("lint", "types"):
        commands.main([part])
    assert set(map(str, started)) < set(map(str, whole))
    assert "-m ruff format --check ." in whole


def test_wide_reaches_both_halves() -> None:
    quick, wide = ([check.arguments for check in checks.all_checks(wide)[-2:]] for wide in (False, True))
    assert not any("wide or not wide" in arguments for arguments in quick)
    assert all("wide or not wide" in arguments for arguments in wide)


def test_every_test_is_run_by_one_of_the_two() -> None:
    app, rest = checks.all_checks()[-2:]
    assert app.without_qt
    assert app.arguments[-1] == "tests/app"
    assert rest.arguments[-1] == "--ignore=tests/app"


def test_qt_is_hidden_from_the_run_without_it() -> None:
    source = "import importlib.util, json\ntry:\n import PySide6.QtCore\nexcept ModuleNotFoundError as e: print(e.name)"
    command = [sys.executable, "-c", source]
    hidden = subprocess.run(command, capture_output=True, text=True, env=checks.variables_without_qt(PROJECT))
    assert hidden.stdout.strip() == "PySide6.QtCore".partition(".")[0]
    seen = subprocess.run(command, capture_output=True, text=True)
    assert seen.stdout == ""


def test_a_run_that_sees_qt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="PySide6 could be imported"):
        run_checks_without_hiding(tmp_path)


def run_checks_without_hiding(project: Path) -> int:
    """As `run_checks` does it, in a project that has no folder tests/without_qt."""
    return checks._run(HERE, project, Check("Tests of app", ["-c", "pass"], without_qt=True))
