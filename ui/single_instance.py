"""One window a data folder: a lock file says who is first, a local socket lets the second start raise the first."""

from __future__ import annotations

import hashlib
from enum import Enum, auto
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_RAISE = b"raise\n"
_ANSWER = b"raised\n"
_ATTEMPTS = 20
_WAIT_MS = 300
_ANSWER_MS = 3000


class Claim(Enum):
    """What came of trying to be the first."""

    FIRST = auto()
    RAISED_OTHER = auto()
    OTHER_IS_SILENT = auto()
    """Another process holds the lock, but does not answer: it starts, ends, or hangs."""
    NO_LOCK = auto()
    """The lock file itself cannot be made: it is another user's, or the disk is full."""


class SingleInstance(QObject):
    """Keep it as long as the window lives."""

    raise_requested = Signal()

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = server_name(home)
        self._lock = QLockFile(str(home / "window.lock"))
        self._lock.setStaleLockTime(0)  # stale only when its process is gone, however long a window stays open
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)

    def claim(self) -> Claim:
        """Become the first, or raise the first that is there."""
        for _ in range(_ATTEMPTS):
            if self._lock.tryLock(0):
                # The lock is ours, so a socket of that name is left over from a window that was killed.
                QLocalServer.removeServer(self._name)
                self._server.listen(self._name)
                return Claim.FIRST
            if self._lock.error() is not QLockFile.LockError.LockFailedError:
                return Claim.NO_LOCK
            if self._raise_other():
                return Claim.RAISED_OTHER
        return Claim.OTHER_IS_SILENT

    def stop_answering(self) -> None:
        """The window is closing: a start from now on waits for the lock instead of raising a window that goes."""
        self._server.close()

    def release(self) -> None:
        """Let another be the first."""
        self._server.close()
        self._lock.unlock()

    def _raise_other(self) -> bool:
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_WAIT_MS):
            # Nobody listens: the other is between its lock and its socket, or is about to end and saves its chats.
            self._lock.tryLock(_WAIT_MS) and self._lock.unlock()
            return False
        socket.write(_RAISE)
        socket.waitForBytesWritten(_WAIT_MS)
        return socket.waitForReadyRead(_ANSWER_MS) and bytes(socket.readAll().data()) == _ANSWER

    def _on_connection(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._on_ready(socket))
            socket.disconnected.connect(socket.deleteLater)
            if socket.bytesAvailable():
                self._on_ready(socket)

    def _on_ready(self, socket: QLocalSocket) -> None:
        if bytes(socket.readAll().data()).startswith(_RAISE.strip()):
            socket.write(_ANSWER)
            socket.flush()
            self.raise_requested.emit()


def server_name(home: Path) -> str:
    """The socket's name: short, and one for each data folder."""
    return "bantam-" + hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:24]
