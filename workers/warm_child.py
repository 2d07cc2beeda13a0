"""Asks a child what would come of something, before it is done. The child is kept warm a while: one looks at a few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.operation import Request
from app.system.paths import Paths
from app.system.process_outcome import ProcessOutcome
from workers.process import ChildProcess
from workers.protocol import End, Line, Stop

IDLE_MS = 60_000


class PlanningChild(QObject):
    """A child that answers questions. Of each kind the last counts; what was asked before it is not answered any
    more.
    """

    answered = Signal(object)  # any Result
    """The result"""
    refused = Signal(object, str)
    """What was asked about, and why nothing can be told of it, for the user."""
    crash_words = "The engine cannot plan this model"

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = command
        self._child: ChildProcess | None = None
        self._last_id = 0
        self._asked: dict[object, tuple[int, object]] = {}
        """Id and subject of the questions that have no answer yet, by their kind."""
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._end_child)

    def send(self, source: Path, request: Request) -> None:
        """Ask about the model `source`; `answered` or `refused` follows, unless another question of this kind does."""
        self._send(type(request), source, request)

    def _send(self, kind: object, subject: object, request: Request) -> None:
        self._idle.start()
        if self._child is None:
            self._child = ChildProcess(self)
            self._child.line_received.connect(self._on_line)
            self._child.ended.connect(self._on_ended)
            self._child.start_worker(self._paths, self._command)
        if kind in self._asked:
            self._child.send(Line(self._asked[kind][0], Stop()))
        self._last_id += 1
        self._asked[kind] = (self._last_id, subject)
        self._child.send(Line(self._last_id, request))

    def close(self) -> None:
        """Close it for the end of the program."""
        self._idle.stop()
        self._asked.clear()
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    def _on_line(self, line: Line) -> None:
        kind = next((kind for kind, (number, _) in self._asked.items() if number == line.id), None)
        if line.end is None or kind is None:
            return
        _, subject = self._asked.pop(kind)
        if line.end is End.RESULT:
            self.answered.emit(line.value)
        elif line.end is End.FAILED:
            self.refused.emit(subject, f"{line.value.sentence} {line.value.hint}".strip())

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        asked, self._asked = self._asked, {}
        for subject in dict.fromkeys(subject for _, subject in asked.values()):
            self.refused.emit(subject, f"{self.crash_words}: {outcome.sentence}")

    def _end_child(self) -> None:
        if self._child is not None and not self._asked:
            self._child.end()
        elif self._child is not None:
            self._idle.start()
