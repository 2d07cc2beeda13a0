"""Floats over the end of the transcript while the user reads further up."""

from __future__ import annotations

from PySide6.QtWidgets import QPushButton, QWidget

from ui.look.icons import set_icon

_ABOVE_EDGE = 44


class JumpButton(QPushButton):
    """Goes to the latest message."""

    def __init__(self, viewport: QWidget) -> None:
        super().__init__(" Jump to latest", viewport)
        set_icon(self, "arrow-down", size=14)
        self.setAccessibleName("Jump to the latest message")
        self.adjustSize()
        self.hide()

    def place(self, visible: bool) -> None:
        """Show or hide it, at the bottom in the middle."""
        viewport = self.parentWidget()
        self.setVisible(visible)
        self.move((viewport.width() - self.width()) // 2, viewport.height() - _ABOVE_EDGE)
