"""Asks a child about the inside of a model. The child is kept warm a while: tensors are looked at in turn."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from app.inspect.messages import Inside, LookAtTensor, LookInside, TensorLook
from app.system.paths import Paths
from workers.warm_child import PlanningChild

Question = LookInside | LookAtTensor


class InsideService(PlanningChild):
    """The last question counts, of whatever kind; `refused` carries the question itself."""

    listed = Signal(object)
    """Inside"""
    looked = Signal(object)
    """TensorLook"""
    crash_words = "The engine cannot look inside this model"

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(paths, command, parent)
        self.answered.connect(self._on_answered)

    def ask(self, question: Question) -> None:
        """One of the signals follows, unless another question does."""
        self._send(InsideService, question, question)

    def _on_answered(self, answer: object) -> None:
        if isinstance(answer, Inside):
            self.listed.emit(answer)
        elif isinstance(answer, TensorLook):
            self.looked.emit(answer)
