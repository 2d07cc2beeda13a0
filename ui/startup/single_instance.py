"""One window a data folder: a lock file says who is first, a local socket lets the second start raise the first.

A start says in one line what it wants: `raise {"version": …, "file": …, "activation": …}`. Every version understands
the first word.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app import __version__

_RAISE = b"raise"
_ANSWER = b"raised\n"
_ATTEMPTS = 20
_WAIT_MS = 300
_ANSWER_MS = 3000
_MOST_BYTES = 65_536
_ACTIVATION = "XDG_ACTIVATION_TOKEN"
"""A Wayland compositor lets a window come to the front that has the token of the click that asked for it."""


class Claim(Enum):
    """What came of trying to be the first."""

    FIRST = auto()
    RAISED_OTHER = auto()
    OTHER_IS_SILENT = auto()
    """Another process holds the lock, but does not answer: it starts, ends, or hangs."""
    NO_LOCK = auto()
    """The lock file itself cannot be made: it is another user's, or the disk is full."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a second start wants of the first: its window at the front, perhaps with a model file."""

    version: str = ""
    """The version of the Bantam that was started; "" where it does not say."""
    file: Path | None = None
    activation: str = ""

    def line(self) -> bytes:
        """The visit as it goes through the socket. File names of any bytes survive, as escapes."""
        wanted = {"version": self.version, "file": str(self.file or ""), "activation": self.activation}
        return _RAISE + b" " + json.dumps(wanted).encode("ascii") + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Visit:
        """The visit from a line that begins with "raise"; what cannot be read is not wanted."""
        try:
            wanted = json.loads(line.removeprefix(_RAISE))
            file = str(wanted["file"])
            return cls(str(wanted["version"]), Path(file) if file else None, str(wanted["activation"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return cls()


class SingleInstance(QObject):
    """Keep it as long as the window lives."""

    raise_requested = Signal()
    visited = Signal(Visit)
    """Visit, after `raise_requested`"""

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = server_name(home)
        self._lock = QLockFile(str(home / "window.lock"))
        self._lock.setStaleLockTime(0)  # stale only when its process is gone, however long a window stays open
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)

    def claim(self, file: Path | None = None) -> Claim:
        """Become the first, or raise the first that is there and hand it the absolute path of a model to open."""
        visit = Visit(__version__, file, os.environ.get(_ACTIVATION, ""))
        for _ in range(_ATTEMPTS):
            if self._lock.tryLock(0):
                # The lock is ours, so a socket of that name is left over from a window that was killed.
                QLocalServer.removeServer(self._name)
                self._server.listen(self._name)
                return Claim.FIRST
            if self._lock.error() is not QLockFile.LockError.LockFailedError:
                return Claim.NO_LOCK
            if self._raise_other(visit):
                return Claim.RAISED_OTHER
        return Claim.OTHER_IS_SILENT

    def stop_answering(self) -> None:
        """The window is closing: a start from now on waits for the lock instead of raising a window that goes."""
        self._server.close()

    def release(self) -> None:
        """Let another be the first."""
        self._server.close()
        self._lock.unlock()

    def _raise_other(self, visit: Visit) -> bool:
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_WAIT_MS):
            # Nobody listens: the other is between its lock and its socket, or is about to end and saves its chats.
            if self._lock.tryLock(_WAIT_MS):
                self._lock.unlock()
            return False
        socket.write(visit.line())
        socket.waitForBytesWritten(_WAIT_MS)
        return socket.waitForReadyRead(_ANSWER_MS) and bytes(socket.readAll().data()) == _ANSWER

    def _on_connection(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._on_ready(socket))
            socket.disconnected.connect(socket.deleteLater)
            if socket.bytesAvailable():
                self._on_ready(socket)

    def _on_ready(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() > _MOST_BYTES:
                socket.abort()
            return
        line = bytes(socket.readLine(_MOST_BYTES).data()).strip()
        if line.startswith(_RAISE):
            socket.write(_ANSWER)
            socket.flush()
            visit = Visit.of_line(line)
            if visit.activation:
                os.environ[_ACTIVATION] = visit.activation  # where Qt looks for it
            self.raise_requested.emit()
            self.visited.emit(visit)


def server_name(home: Path) -> str:
    """The socket's name: short, and one for each data folder."""
    return "bantam-" + hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:24]
