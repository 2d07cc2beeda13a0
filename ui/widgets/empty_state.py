"""What a page says while it has nothing to show: a sign, what is missing, what to do first."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ui.look.icons import set_icon

_SIGN = 32


class EmptyState(QWidget):
    """Words and a way on, in the middle of the room it is given."""

    def __init__(self, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        sign = QLabel()
        set_icon(sign, icon, "text_secondary", _SIGN)
        self.title, self.text = QLabel(), QLabel()
        self.title.setProperty("role", "title")
        self.text.setProperty("role", "secondary")
        column = QVBoxLayout(self)
        column.setSpacing(8)
        column.addStretch()
        for label in (sign, self.title, self.text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        for label in (self.title, self.text):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.action = QPushButton("Try again")
        self.action.hide()
        self._actions = QHBoxLayout()
        self._actions.setSpacing(8)
        self._actions.addStretch()
        self._actions.addWidget(self.action)
        self._actions.addStretch()
        column.addLayout(self._actions)
        column.setContentsMargins(24, 24, 24, 24)
        column.addStretch()

    def add_action(self, words: str) -> QPushButton:
        """A second button beside the first."""
        button = QPushButton(words)
        self._actions.insertWidget(self._actions.count() - 1, button)
        return button

    def say(self, title: str, text: str, *, again: bool = False) -> None:
        """The two lines; `again` offers to try again."""
        self.action.setVisible(again)
        self.title.setText(title)
        self.text.setText(text)
