"""An answer as plain text in which the words that the draft guessed are tinted and underlined."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QLabel, QTextEdit, QVBoxLayout, QWidget

from app.units import grouped
from ui.look.theme import color

_SIZE = (640, 420)

Piece = tuple[str, bool]
"""Text, and whether the draft guessed it."""


class GuessedView(QFrame):
    """A window over the transcript; Esc or a click beside it closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("model_popup")
        self.count = QLabel()
        self.count.setProperty("role", "strong")
        self.legend = QLabel("Underlined and tinted: guessed by the draft, and confirmed by the model.")
        self.legend.setProperty("role", "secondary")
        self.text = QTextEdit(readOnly=True)
        self.text.setAccessibleName("The answer, with what the draft guessed")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        for widget in (self.count, self.legend, self.text):
            column.addWidget(widget)

    def show_pieces(self, pieces: Sequence[Piece], tokens: int, guessed: int) -> None:
        """Fill it: `guessed` of the `tokens` came from the draft."""
        share = f" ({100 * guessed / tokens:.0f} %)" if tokens else ""
        self.count.setText(f"{grouped(guessed)} of {grouped(tokens)} tokens came from the draft{share}")
        plain, drafted = QTextCharFormat(), QTextCharFormat()
        drafted.setBackground(color("guessed_surface"))
        drafted.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        self.text.clear()
        cursor = QTextCursor(self.text.document())
        for text, is_guessed in merged(pieces):
            cursor.insertText(text, drafted if is_guessed else plain)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def open_over(self, anchor: QWidget) -> None:
        """In the middle of `anchor`."""
        width, height = min(_SIZE[0], anchor.width() - 32), min(_SIZE[1], anchor.height() - 32)
        self.resize(max(width, 320), max(height, 200))
        self.move(anchor.mapToGlobal(anchor.rect().center()) - self.rect().center())
        self.show()
        self.text.setFocus()


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of the same kind as one piece."""
    runs: list[Piece] = []
    for text, is_guessed in pieces:
        if runs and runs[-1][1] == is_guessed:
            runs[-1] = (runs[-1][0] + text, is_guessed)
        elif text:
            runs.append((text, is_guessed))
    return runs
