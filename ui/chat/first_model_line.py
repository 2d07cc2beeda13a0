"""A quiet line under the greeting: which model to take first on this computer, and the button that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from app.fit.first_choice import FirstChoice

_MEASURING = "Measuring this computer, to suggest a model for it…"
_OFFLINE = "You are offline now. Once you are online, “Show it” opens it on the Discover page."
_LEAST_HEIGHT = 72
"""Kept free until the suggestion comes, so that nothing moves then."""


class FirstModelLine(QWidget):
    """Says nothing, that it is being measured, or what to take; hidden altogether where there is nothing to suggest."""

    show_wanted = Signal(str)
    """Repository id"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choice: FirstChoice | None = None
        self.title, self.text = _label("strong"), _label("secondary")
        self.button = QPushButton("Show it")
        self.button.setAccessibleName("Show this model on the Discover page")
        self.button.clicked.connect(self._on_clicked)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(self.title)
        texts.addWidget(self.text)
        texts.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        row.addLayout(texts, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.hide()

    def keep_room(self) -> None:
        """Nothing yet, but something will come."""
        self._show(None, "", "")

    def show_measuring(self) -> None:
        """It is not known yet."""
        self._show(None, "", _MEASURING)

    def show_choice(self, choice: FirstChoice, *, offline: bool) -> None:
        """What to take first, and where it is while there is no network."""
        more = _OFFLINE if offline else choice.sentence
        self._show(choice, f"A good first model for this computer: {choice.model.name}", f"{choice.model.why} {more}")

    def show_nothing(self) -> None:
        """There is a model already, or none that fits."""
        self._choice = None
        self.hide()

    def _show(self, choice: FirstChoice | None, title: str, text: str) -> None:
        self._choice = choice
        self.title.setText(title)
        self.title.setVisible(bool(title))
        self.text.setText(text)
        self.button.setVisible(choice is not None)
        self.show()

    def _on_clicked(self) -> None:
        if self._choice is not None:
            self.show_wanted.emit(self._choice.model.summary.id)


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label
