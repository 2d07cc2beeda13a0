"""The question before a model that needs more than the memory that is free: the arithmetic, and the ways on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.engine.messages import TooLarge
from app.units import grouped
from ui.errors import MessageBar
from workers.current_model import smaller_context


class TooLargeBar(MessageBar):
    """Load anyway, leave out the draft, use a smaller context where one would fit, or cancel."""

    load_anyway = Signal()
    without_draft = Signal()
    smaller_context_chosen = Signal(int)
    """context in tokens"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("warning", "triangle-alert", parent)

    def ask(self, question: TooLarge, asked_context_tokens: int) -> None:
        """Show the question for a load that asked for this context."""
        tokens = smaller_context(question, asked_context_tokens)
        hint = "Close other programs, take a smaller model, or load it nonetheless: the machine may become very slow."
        self.say(question.sentence, hint)
        if tokens:
            text = f"Use a smaller context ({grouped(tokens)} tokens)"
            self.add_button(text, lambda: self.smaller_context_chosen.emit(tokens), role="primary")
        if question.need.draft_bytes:
            self.add_button("Load without the draft", self.without_draft.emit, role="" if tokens else "primary")
        self.add_button("Load anyway", self.load_anyway.emit)
        self.add_button("Cancel", self.dismiss, closes=False)
