"""Asks a child about the inside of a model. The child is kept warm a while: tensors are looked at in turn."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from app.inside.asked import LookAtTensor, LookInside
from app.inside.said import Inside, TensorLook
from app.paths import Paths
from app.process_outcome import ProcessOutcome
from workers.process import ChildProcess, worker_command
from workers.protocol import End, Line, Stop

IDLE_MS = 60_000
Question = LookInside | LookAtTensor


class InsideService(QObject):
    """The last question counts; the one before it is stopped and not answered any more."""

    listed = Signal(object)
    """Inside"""
    looked = Signal(object)
    """TensorLook"""
    refused = Signal(object, str)
    """The question, and why there is no answer, for the user."""

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = tuple(command or worker_command())
        self._child: ChildProcess | None = None
        self._last_id = 0
        self._asked: Question | None = None
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._end_child)

    def ask(self, question: Question) -> None:
        """One of the signals follows, unless another question does."""
        self._idle.start()
        if self._child is None:
            self._child = ChildProcess(self)
            self._child.line_received.connect(self._on_line)
            self._child.ended.connect(self._on_ended)
            self._child.start(self._command, {"BANTAM_HOME": str(self._paths.home)})
        if self._asked is not None:
            self._child.send(Line(self._last_id, Stop()))
        self._last_id += 1
        self._asked = question
        self._child.send(Line(self._last_id, question))

    def close(self) -> None:
        """For the end of the program."""
        self._idle.stop()
        self._asked = None
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    def _on_line(self, line: Line) -> None:
        if line.end is None or line.id != self._last_id or self._asked is None:
            return
        question, self._asked = self._asked, None
        if line.end is End.RESULT and isinstance(line.value, Inside):
            self.listed.emit(line.value)
        elif line.end is End.RESULT and isinstance(line.value, TensorLook):
            self.looked.emit(line.value)
        elif line.end is End.FAILED:
            self.refused.emit(question, f"{line.value.sentence} {line.value.hint}".strip())

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        if self._asked is not None:
            question, self._asked = self._asked, None
            self.refused.emit(question, f"The engine cannot look inside this model: {outcome.sentence}")

    def _end_child(self) -> None:
        if self._child is not None and self._asked is None:
            self._child.end()
        elif self._child is not None:
            self._idle.start()
