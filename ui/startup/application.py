"""The QApplication, which macOS tells of a file to open; other systems put that on the command line."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from PySide6.QtCore import (
    QEvent,
    QMessageLogContext,
    QObject,
    QSocketNotifier,
    QtMsgType,
    Signal,
    qInstallMessageHandler,
)
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication, QMessageBox

from app.system.paths import Paths, default_paths, is_debugging
from ui.startup.single_instance import Claim
from workers.protocol import Failure


class Application(QApplication):
    """Overrides `event` and filters none: a filter would see every event of every widget."""

    file_opened = Signal(Path)
    """Path"""

    def __init__(self) -> None:
        super().__init__(["bantam"])  # the name by which X11 and Wayland know the window
        self.setApplicationName("Bantam")
        self.setDesktopFileName("bantam")
        self.setQuitOnLastWindowClosed(False)  # the end waits for the child and the chats

    # Qt overrides

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.file():
            self.file_opened.emit(Path(event.file()))
            return True
        return super().event(event)


# A start where no window can be opened ends with a sentence. Qt by itself says so in a page of warnings and aborts.


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


# What asks a program to end from outside, a terminal's Ctrl+C or the end of the session, ends it in order.


_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class EndSignals(QObject):
    """Python handles a signal when it next runs a line of its own; the socket wakes it, while Qt waits for events."""

    received = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_woken)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        numbers = (getattr(signal, name) for name in _NAMES if hasattr(signal, name))
        self._previous = {number: signal.signal(number, _nothing) for number in numbers}

    def close(self) -> None:
        """Handle signals as before."""
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def _on_woken(self) -> None:
        numbers = self._reader.recv(64)
        if any(number in self._previous for number in numbers):
            self.received.emit()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The byte in the socket is the message; a handler must be there for it to be written."""


# The window's log: what nobody caught. logging.handlers would turn the file over too, and cost the start 10 ms.


_MOST_BYTES = 500_000


def open_log(paths: Paths) -> logging.FileHandler:
    """Write to the window's log from now on, and with `--debug` to its log; what is too long is kept as `.old`."""
    file = paths.window_log
    if file.exists() and file.stat().st_size > _MOST_BYTES:
        file.replace(file.with_name(f"{file.name}.old"))
    log = logging.FileHandler(file, delay=True, encoding="utf-8")
    log.setLevel(logging.WARNING)  # what --debug asks for has a file of its own
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(log)
    if is_debugging():
        from app.diagnostics.debug_log import open_debug_log

        open_debug_log(paths)
    return log


# A start that cannot go on says why, in a dialog and on stderr.


def refuse(sentence: str, hint: str) -> int:
    """Say why there is no window; returns the exit code."""
    print(f"{sentence} {hint}".strip(), file=sys.stderr)
    box = QMessageBox(QMessageBox.Icon.Critical, "Bantam", sentence)
    box.setInformativeText(hint)
    box.exec()
    return 1


def leave_to_other(claim: Claim, home: Path) -> int:
    """This start is not the first on the data folder: the exit code, and why where no window answered."""
    if claim is Claim.RAISED_OTHER:
        return 0
    if claim is Claim.OTHER_IS_SILENT:
        return refuse("Bantam is already running, but its window does not answer.", "End that one, then start again.")
    hint = "Free some space on its disk, and see that window.lock in it is yours, then start again."
    return refuse(f"Bantam cannot lock its data folder {home}.", hint)


def tell_failed_start(failure: Failure) -> None:
    """A fault before there is a window."""
    refuse(failure.sentence, f"{failure.hint} The details are in the folder {default_paths().logs}.")
