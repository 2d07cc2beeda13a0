"""A start where no window can be opened ends with a sentence. Qt by itself says so in a page of warnings and aborts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

HINT = "Start it in a desktop session, or chat in the terminal: bantam chat"
_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def display_problem(environment: Mapping[str, str], system: str = sys.platform) -> str:
    """Why there cannot be a window, known before Qt is asked; "" where there may be one."""
    if system.startswith("linux") and not any(environment.get(name) for name in _VARIABLES):
        return "There is no display to open a window on."
    return ""


@contextmanager
def fatal_as_sentence() -> Iterator[None]:
    """While the application is made: what Qt would abort of becomes a sentence on stderr and exit code 1."""
    said: list[str] = []

    def on_message(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
        if kind is QtMsgType.QtFatalMsg:
            print(fatal_sentence((*said, text)), HINT, file=sys.stderr, flush=True)
            os._exit(1)  # whoever returns from here is aborted
        said.append(text)

    previous = qInstallMessageHandler(on_message)
    try:
        yield
    finally:
        qInstallMessageHandler(previous)
        for text in said:
            print(text, file=sys.stderr)


def fatal_sentence(messages: tuple[str, ...]) -> str:
    """The reason among what Qt said: a display that does not answer, or a library that is missing."""
    for text in messages:
        if (found := re.search(r"could not connect to display\s*(\S*)", text)) is not None:
            return f"No window can be opened: the display {found[1]} does not answer.".replace("  ", " ")
        if (found := re.search(r"(\S+) is needed to load the Qt xcb", text)) is not None:
            return f"No window can be opened: the system library {found[1]} is missing."
    return f"No window can be opened: {messages[-1].splitlines()[0].rstrip('.')}."
