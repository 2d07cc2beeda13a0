"""House rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 600
PROGRAM = ("app", "workers", "ui")


def sources() -> list[Path]:
    """The Python files that git knows, or all where this is not a checkout."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=PROJECT, capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    found = [PROJECT / name for name in names] or [
        path for folder in ("app", "workers", "ui", "packaging", "tests") for path in (PROJECT / folder).rglob("*.py")
    ]
    return [path for path in found if path.exists()]


def test_files_are_short() -> None:
    long = [path.relative_to(PROJECT).as_posix() for path in too_long(sources(), LONGEST_FILE)]
    assert long == [], "longer than 600 lines"


def test_a_long_file_would_be_found() -> None:
    assert len(sources()) > 20
    assert too_long([Path(__file__)], 10) == [Path(__file__)]


def too_long(paths: list[Path], most: int) -> list[Path]:
    return [path for path in paths if len(path.read_text("utf-8").splitlines()) > most]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "resources/NOTICES.md"])
def test_the_papers_are_there(name: str) -> None:
    assert (PROJECT / name).stat().st_size > 500


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text("utf-8").splitlines()) < 150, "the reference is docs/cli.md"


def test_every_dependency_is_imported() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    wanted = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in settings["project"]["dependencies"]}
    texts = [path.read_text("utf-8") for path in sources() if path.relative_to(PROJECT).parts[0] in PROGRAM]
    assert wanted - packages_imported(texts) == set()


def test_a_dependency_that_nothing_imports_would_be_found() -> None:
    assert packages_imported(["import numpy as np\nfrom PySide6.QtCore import QObject\n"]) >= {
        "numpy",
        "pyside6-essentials",
    }
    assert packages_imported(['spec = find_spec("llama_cpp")  # not tokenizers']) == {"llama-cpp-python"}


def packages_imported(texts: list[str]) -> set[str]:
    """The installed packages of which these sources import a module, also one that is imported by its name."""
    statement = re.compile(r"^\s*(?:from|import) (\w+)|(?:import_module|find_spec)\(\"(\w+)", re.MULTILINE)
    modules = {module for text in texts for groups in statement.findall(text) for module in groups if module}
    owners = packages_distributions()
    return {owner.lower().replace("_", "-") for module in modules for owner in owners.get(module, ())}


def test_a_share_is_written_in_one_way() -> None:
    """With a space, by `app.units.percent`: "41 %"."""
    shown = [path for path in sources() if path.relative_to(PROJECT).parts[0] in PROGRAM]
    found = [path.name for path in shown if percent_format(path.read_text("utf-8"))]
    assert found == ["work.py"], "a folder's name has no percent sign"


def test_a_share_written_in_another_way_would_be_found() -> None:
    assert percent_format('f"{share:.0%}"')
    assert percent_format("f'{a / b:.1%} less'")
    assert not percent_format('f"{percent(share)} of 100 %"')


def percent_format(text: str) -> bool:
    return re.search(r"\{[^{}]+:\.\d%\}", text) is not None
