"""Docstrings are sentences or noun phrases with their noun: none begins with a bare preposition ("Of one answer.")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
BARE = frozenset(
    {
        "Above",
        "After",
        "Against",
        "As",
        "At",
        "Before",
        "Behind",
        "Below",
        "Beside",
        "Between",
        "By",
        "For",
        "From",
        "In",
    }
    | {"Into", "Of", "On", "Over", "Through", "To", "Under", "Until", "With", "Without"}
)
FINE = ("At least ", "At most ", "For each ")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, and of each string that stands below a name as its docstring."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for number, statement in enumerate(body):
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                continue
            first = number == 0 and documented
            of_name = number > 0 and isinstance(body[number - 1], ast.Assign | ast.AnnAssign)
            if (first or of_name) and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value.strip()


def bare(source: str) -> list[tuple[int, str]]:
    return [
        (line, text.split("\n")[0])
        for line, text in docstrings(source)
        if text and text.split()[0].rstrip(",:;") in BARE and not text.startswith(FINE)
    ]


@pytest.mark.parametrize("package", ["app", "workers", "ui"])
def test_none_begins_with_a_bare_preposition(package: str) -> None:
    found = [
        f"{file.relative_to(PROJECT)}:{line} {text}"
        for file in sorted((PROJECT / package).rglob("*.py"))
        for line, text in bare(file.read_text("utf-8"))
    ]
    assert found == []


def test_one_is_seen() -> None:
    source = '"""Of a file."""\nX = 1\n"""For people."""\ndef f():\n    """At most two."""\n'
    assert bare(source) == [(1, "Of a file."), (3, "For people.")]
