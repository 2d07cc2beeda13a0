"""When there is nothing to do, nothing is done; what breaks off is gone on with."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from bootstrap.console import SetupError
from bootstrap.environment import Environment, clean_environment, fingerprint
from bootstrap.installation import PROJECT
from bootstrap.interpreter import Interpreter, probe


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment as far as stamps go: a version and a Python that exists."""
    made = Environment(tmp_path / ".venv")
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    (made.folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.1\n")
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that decide what is installed."""
    copy = tmp_path / "project"
    (copy / "packaging").mkdir(parents=True)
    for name in ("pyproject.toml", "packaging/constraints.txt", "packaging/build-constraints.txt"):
        shutil.copy(PROJECT / name, copy / name)
    return copy


def this_python() -> Interpreter:
    found = probe(sys.executable)
    assert found is not None
    return found


def test_a_completed_set_up_is_current(environment: Environment) -> None:
    assert not environment.is_current("mark", [])
    environment.mark_complete("mark", ["test"])
    assert environment.is_current("mark", [])
    assert environment.is_current("mark", ["test"])
    assert not environment.is_current("mark", ["dev"])
    assert not environment.is_current("other", [])


def test_one_that_broke_off_is_not_and_keeps_its_extras(environment: Environment) -> None:
    environment.mark_complete("mark", ["test"])
    environment.mark_incomplete(["test"])
    assert not environment.is_current("mark", [])
    assert environment.extras() == {"test"}


def test_another_python_or_none_makes_it_stale(environment: Environment) -> None:
    environment.mark_complete("mark", [])
    (environment.folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.13.0\n")
    assert not environment.is_current("mark", [])
    (environment.folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.1\n")
    assert environment.is_current("mark", [])
    environment.python.unlink()
    assert not environment.is_current("mark", [])


@pytest.mark.parametrize("stamp", ["", "{", "[]", "null"])
def test_a_damaged_stamp_is_none(environment: Environment, stamp: str) -> None:
    environment.mark_complete("mark", [])
    (environment.folder / "bantam-setup.json").write_text(stamp)
    assert not environment.is_current("mark", [])
    assert environment.extras() == set()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / ".venv" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(SetupError, match="is not a Python environment"):
        Environment(tmp_path / ".venv").make(this_python())
    assert precious.read_text() == "years of work"


def test_a_python_that_does_not_run_is_not_usable(environment: Environment) -> None:
    assert not environment.is_usable()


def test_what_is_installed_is_read_from_the_environment() -> None:
    here = Environment(Path(sys.prefix))
    assert here.installed()["pytest"] == pytest.__version__


def test_settings_of_tools_do_not_count(project: Path) -> None:
    before = fingerprint(project)
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace("line-length = 120", "line-length = 100"), "utf-8")
    assert fingerprint(project) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pyproject.toml", "transformers==", "transformers>="),
        ("pyproject.toml", 'name = "bantam"', 'name = "other"'),
        ("packaging/constraints.txt", "numpy==", "numpy==1"),
        ("packaging/build-constraints.txt", "cmake==", "cmake==1"),
    ],
)
def test_dependencies_and_pins_count(project: Path, name: str, old: str, new: str) -> None:
    before = fingerprint(project)
    text = (project / name).read_text("utf-8")
    assert old in text
    (project / name).write_text(text.replace(old, new), "utf-8")
    assert fingerprint(project) != before


def test_variables_of_another_python_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("BANTAM_HOME", "/home")
    variables = clean_environment()
    assert "PYTHONPATH" not in variables
    assert variables["BANTAM_HOME"] == "/home"
