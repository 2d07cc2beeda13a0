"""The checks of `start.py lint | types | fmt | test`, one after the other, and what came out at the end.

`test` without arguments is all of them, and what the project's CI runs.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from bootstrap.console import SetupError, minutes, say
from bootstrap.environment import Environment

PYTEST = ["-m", "pytest"]
AT_ONCE = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]  # each process may take 1 GB
WITHOUT_QT = Path("tests") / "without_qt"
LAYERS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


class Check(NamedTuple):
    """One check: what it is called, what Python is given, and whether PySide6 is hidden from it."""

    title: str
    arguments: list[str]
    without_qt: bool = False


WHOLE = [Check("Layers", ["-c", LAYERS]), Check("Dead code", ["-m", "vulture"])]


def checks_for(command: str, arguments: list[str]) -> list[Check]:
    """The checks of a command. `arguments` are paths, and for `test` anything that pytest takes, or --wide.

    Layers and dead code are found in the whole program only, whatever the paths are.
    """
    if command == "lint":
        return [Check("Style", ["-m", "ruff", "check", *(arguments or ["."])]), *WHOLE]
    if command == "types":
        return [Check("Types", ["-m", "mypy", *arguments])]
    if command == "fmt":
        paths = arguments or ["."]
        imports = Check("Imports", ["-m", "ruff", "check", "--select", "I", "--fix", *paths])
        return [imports, Check("Format", ["-m", "ruff", "format", *paths])]
    if arguments and arguments != ["--wide"]:
        return [Check("Tests", [*PYTEST, *arguments])]
    return all_checks(wide=bool(arguments))


def all_checks(wide: bool = False) -> list[Check]:
    """The quick ones first. The tests of app run once, without PySide6, and then those of everything else."""
    options = [*AT_ONCE, *(["-m", "wide or not wide"] if wide else [])]
    return [
        Check("Format", ["-m", "ruff", "format", "--check", "."]),
        *checks_for("lint", []),
        *checks_for("types", []),
        Check("Tests of app, without PySide6", [*PYTEST, *options, "-p", "no:pytest-qt", "tests/app"], without_qt=True),
        Check("Tests of everything else", [*PYTEST, *options, "--ignore=tests/app"]),
    ]


def run_checks(environment: Environment, project: Path, checks: list[Check]) -> int:
    """Run them all, also after one that failed. Returns the exit code: 0 if all passed."""
    if len(checks) == 1:
        return _run(environment, project, checks[0])
    results = []
    for check in checks:
        say(f"\n== {check.title}")
        started = time.monotonic()
        code = _run(environment, project, check)
        results.append((check.title, code, time.monotonic() - started))
    say()
    for title, code, seconds in results:
        say(f"{'passed' if code == 0 else 'FAILED':8}{title} ({minutes(seconds)})")
    return 1 if any(code for _, code, _ in results) else 0


def variables_without_qt(project: Path) -> dict[str, str]:
    """An environment in which no Python can import PySide6: tests/without_qt/sitecustomize.py sees to it."""
    return {**os.environ, "PYTHONPATH": str(project / WITHOUT_QT)}


def _run(environment: Environment, project: Path, check: Check) -> int:
    variables = variables_without_qt(project) if check.without_qt else dict(os.environ)
    variables["QT_QPA_PLATFORM"] = "offscreen"
    if check.without_qt:
        _make_sure_qt_is_hidden(environment, variables)
    return subprocess.call([str(environment.python), *check.arguments], cwd=project, env=variables)


def _make_sure_qt_is_hidden(environment: Environment, variables: dict[str, str]) -> None:
    command = [str(environment.python), "-c", "import PySide6"]
    seen = subprocess.run(command, capture_output=True, text=True, env=variables)
    if "ModuleNotFoundError" not in seen.stderr:
        raise SetupError("PySide6 could be imported in the run that must do without it.", seen.stderr)
