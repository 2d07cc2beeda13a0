"""Asks a child what quantizing a model would make. The child is kept warm a while: rows are looked at in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.events import Offers
from app.paths import Paths
from app.process_outcome import ProcessOutcome
from app.requests import KvType, PlanOffers
from workers.process import ChildProcess, worker_command
from workers.protocol import End, Line

IDLE_MS = 60_000


class OfferService(QObject):
    """The last question counts; what was asked before it is not answered any more."""

    answered = Signal(object)
    """Offers"""
    refused = Signal(object, str)
    """Path of the model, and why nothing can be made of it, for the user."""

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = tuple(command or worker_command())
        self._child: ChildProcess | None = None
        self._last_id = 0
        self._asked: Path | None = None
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._end_child)

    def ask(self, source: Path, types: tuple[str, ...], context_tokens: int, kv_type: KvType) -> None:
        """Plan these types; `answered` or `refused` follows, unless another question does."""
        self._idle.start()
        if self._child is None:
            self._child = ChildProcess(self)
            self._child.line_received.connect(self._on_line)
            self._child.ended.connect(self._on_ended)
            self._child.start(self._command, {"BANTAM_HOME": str(self._paths.home)})
        self._last_id += 1
        self._asked = source
        self._child.send(Line(self._last_id, PlanOffers(source, types, context_tokens, kv_type)))

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
        source, self._asked = self._asked, None
        if line.end is End.RESULT and isinstance(line.value, Offers):
            self.answered.emit(line.value)
        elif line.end is End.FAILED:
            self.refused.emit(source, f"{line.value.sentence} {line.value.hint}".strip())

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        if self._asked is not None:
            source, self._asked = self._asked, None
            self.refused.emit(source, f"The engine cannot plan this model: {outcome.sentence}")

    def _end_child(self) -> None:
        if self._child is not None and self._asked is None:
            self._child.end()
