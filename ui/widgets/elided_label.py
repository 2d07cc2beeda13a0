"""A line that is cut with "…" where it does not fit, and says all of itself in its tool tip then."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QPainter, QResizeEvent, QTextOption
from PySide6.QtWidgets import QLabel, QSizePolicy, QStyle, QStyleOptionViewItem, QWidget

from ui.look.theme import color, text_font, tokens

_LEAST_WIDTH = 48
"""The least width: in less room a few letters say nothing, and none are shown."""


class ElidedLabel(QLabel):
    """A label as wide as it would like, and as narrow as it must."""

    def __init__(
        self, role: str, parent: QWidget | None = None, *, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__(parent)
        self._whole, self._mode = "", mode
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def say(self, text: str) -> None:
        """Show this."""
        self._whole = text
        self.setAccessibleName(text)
        self._elide()

    def _elide(self) -> None:
        room = self.width() if self.width() >= _LEAST_WIDTH else 0
        short = self.fontMetrics().elidedText(self._whole, self._mode, room)
        self.setText(short)
        self.setToolTip(self._whole if short != self._whole else "")

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def sizeHint(self) -> QSize:
        """The size of the whole text, for layouts that ask: by itself it takes what it is given."""
        return QSize(self.fontMetrics().horizontalAdvance(self._whole), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())


# Words without an end, such as a file in base64: Qt looks through the whole word at each line of it that it breaks.


LONGEST_WORD = 1000
"""Characters. A word of 200,000 takes minutes to lay out, and the window stands still meanwhile."""


def wrap_mode(text: str) -> QTextOption.WrapMode:
    """How lines break: between words, and anywhere for a text in which that would take long."""
    if any(len(word) > LONGEST_WORD for word in text.split()):
        return QTextOption.WrapMode.WrapAnywhere
    return QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere


# A row of a list with two lines, and words at its right end: painted the same wherever models are chosen.


ROW_HEIGHT = 48


def paint_row(
    painter: QPainter, option: QStyleOptionViewItem, title: str, facts: str, words: str, tone: str, *, muted: bool
) -> None:
    """`title` over `facts`, elided; `words` in the colour `tone` at the right. A muted row cannot be chosen."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    selected = bool(option.state & QStyle.StateFlag.State_Selected)
    if selected or (option.state & QStyle.StateFlag.State_MouseOver and not muted):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("selected" if selected else "hover"))
        painter.drawRoundedRect(option.rect, tokens().radius, tokens().radius)
    inside = option.rect.adjusted(10, 6, -10, -6)
    painter.setFont(text_font())
    painter.setPen(color(tone))
    painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
    right = painter.fontMetrics().horizontalAdvance(words) + 16 if words else 0
    _paint_lines(painter, inside.adjusted(0, 0, -right, 0), title, facts, muted)
    painter.restore()


def _paint_lines(painter: QPainter, area: QRect, title: str, facts: str, muted: bool) -> None:
    upper = QRect(area.left(), area.top(), area.width(), area.height() // 2)
    lower = QRect(area.left(), upper.bottom() + 1, area.width(), area.height() // 2)
    painter.setFont(text_font(strong=True))
    painter.setPen(color("text_secondary" if muted else "text"))
    metrics, middle = painter.fontMetrics(), Qt.AlignmentFlag.AlignVCenter
    painter.drawText(upper, middle, metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, area.width()))
    painter.setFont(text_font(tokens().size_caption, tabular=True))
    painter.setPen(color("text_secondary"))
    text = painter.fontMetrics().elidedText(facts, Qt.TextElideMode.ElideRight, area.width())
    painter.drawText(lower, middle, text)
