"""What the docs and the packages' docstrings say of files is so: each file that they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"`([\w/]+\.py)`")
PLACES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "packaging/README.md", "tests/benchmarks/README.md", "docs/cli.md")


def missing(text: str, folders: tuple[Path, ...]) -> Iterator[str]:
    """Each file that is named in the text and is in none of the folders."""
    for name in FILE.findall(text):
        if not any((folder / name).exists() for folder in folders):
            yield name


@pytest.mark.parametrize("package", ["app", "workers", "ui"])
def test_docstrings_of_packages_name_files_that_are_there(package: str) -> None:
    found = [
        f"{file.parent.relative_to(PROJECT)}: {name}"
        for file in sorted((PROJECT / package).rglob("__init__.py"))
        for name in missing(file.read_text("utf-8"), (file.parent, PROJECT))
    ]
    assert found == []


@pytest.mark.parametrize("place", PLACES)
def test_the_docs_name_files_that_are_there(place: str) -> None:
    file = PROJECT / place
    folders = (PROJECT, file.parent, PROJECT / "app", PROJECT / "packaging")
    assert list(missing(file.read_text("utf-8"), folders)) == []


def test_one_that_is_gone_is_seen(tmp_path: Path) -> None:
    (tmp_path / "here.py").touch()
    assert list(missing("`here.py` and `gone.py`", (tmp_path,))) == ["gone.py"]
