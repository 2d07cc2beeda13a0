"""A small picture of bars over a line, painted by hand: the window loads no plot library for it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.look.theme import color, text_font, tokens


class BarPicture(QWidget):
    """Leaves `gap` pixels and a line of small text above the bars, and the same line below them."""

    gap = 2

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(name)

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Everything but the line below: bars in `area`, words around it. For whoever has something to show."""
        raise NotImplementedError

    # Qt overrides

    def sizeHint(self) -> QSize:
        return QSize(320, 150)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 96)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(text_font(tokens().size_caption, tabular=True))
        line = painter.fontMetrics().height()
        area = QRectF(0, line + self.gap, self.width(), self.height() - 2 * line - self.gap - 6)
        self.paint(painter, area)
        painter.setPen(QPen(color("outline"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
