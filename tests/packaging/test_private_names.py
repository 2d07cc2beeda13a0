"""Tests ask for outcomes: how often they reach into the program's private names is counted, and may only fall."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
MOST = 92
_OWN = ("self", "cls")


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each attribute that begins with one underscore, but for those of the test's own objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in _OWN
            if not own:
                yield node.lineno, node.attr


def test_they_do_not_become_more() -> None:
    found = [
        f"{file.relative_to(TESTS)}:{line} {name}"
        for file in sorted(TESTS.rglob("*.py"))
        for line, name in private_names(file.read_text("utf-8"))
    ]
    assert len(found) <= MOST, "\n".join(found)
    assert len(found) > MOST - 10, f"there are {len(found)} now: lower MOST to that"


def test_one_is_seen() -> None:
    assert list(private_names("window._panel.text()\nself._panel\nwindow.__class__\n")) == [(1, "_panel")]
