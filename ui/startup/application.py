"""The QApplication, which macOS tells of a file to open; other systems put that on the command line."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class Application(QApplication):
    """Overrides `event` and filters none: a filter would see every event of every widget."""

    file_opened = Signal(object)
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
