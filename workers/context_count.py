"""How full the context would be with the text in the composer: asked of the engine after a pause in typing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.engine.messages import Message, TokenCount
from workers.engine.states import EngineState

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine

PAUSE_MS = 300


class ContextCount(QObject):
    """Keeps the last count until a new one is known, so that the meter does not flicker."""

    changed = Signal(object, int)
    """Tokens or None while nothing is known, and the size of the context (0 without a model)."""

    def __init__(self, engine: ChatEngine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._messages: tuple[Message, ...] = ()
        self._asked = False
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        engine.token_count.connect(self._on_token_count)
        engine.state_changed.connect(self._on_state_changed)

    def forget(self) -> None:
        """Another conversation: what was counted says nothing about it."""
        self.changed.emit(None, self._context_tokens)

    def count(self, messages: tuple[Message, ...], at_once: bool = False) -> None:
        """These are the messages now."""
        self._messages = messages
        if not messages:
            self._pause.stop()
            self.changed.emit(0, self._context_tokens)
            return
        self._pause.start(0 if at_once else PAUSE_MS)

    @property
    def _context_tokens(self) -> int:
        return self._engine.model.context_tokens if self._engine.model is not None else 0

    def _ask(self) -> None:
        if self._engine.state is EngineState.READY and self._messages:
            self._engine.count_tokens(self._messages)

    def _on_token_count(self, count: TokenCount) -> None:
        if self._messages:
            self.changed.emit(count.tokens, count.context_tokens)

    def _on_state_changed(self, state: EngineState) -> None:
        if state is EngineState.READY:
            self._pause.start()
        elif self._engine.model is None:
            self.changed.emit(None, 0)
