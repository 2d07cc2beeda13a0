"""What asks a program to end from outside, a terminal's Ctrl+C or the end of the session, ends it in order."""

from __future__ import annotations

import signal
import socket
from types import FrameType

from PySide6.QtCore import QObject, QSocketNotifier, Signal

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
