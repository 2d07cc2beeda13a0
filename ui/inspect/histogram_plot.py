"""The histogram of a tensor's weights."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

from app.inspect.messages import Histogram
from app.units import grouped
from ui.inspect.words import histogram_words
from ui.look.theme import color
from ui.widgets.bar_picture import BarPicture


class HistogramPlot(BarPicture):
    """Bars from -range to +range; what lies outside stands as a number with an arrow at either end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Histogram of the weights", parent)
        self._found: Histogram | None = None

    def show_histogram(self, found: Histogram) -> None:
        self._found = found
        self.setAccessibleDescription(histogram_words(found))
        self.update()

    def paint(self, painter: QPainter, area: QRectF) -> None:
        if self._found is not None:
            self._paint_bars(painter, area, self._found)
            self._paint_words(painter, area, self._found)

    def _paint_bars(self, painter: QPainter, area: QRectF, found: Histogram) -> None:
        most, width = max(1, *found.counts), area.width() / len(found.counts)
        for number, count in enumerate(found.counts):
            height = count / most * area.height()
            if count:
                left = area.left() + number * width
                bar = QRectF(left, area.bottom() - max(height, 1.0), max(1.0, width - 0.5), max(height, 1.0))
                painter.fillRect(bar, color("accent"))
        middle = area.center().x()
        painter.setPen(QPen(color("outline"), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(middle, area.top()), QPointF(middle, area.bottom()))

    def _paint_words(self, painter: QPainter, area: QRectF, found: Histogram) -> None:
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{found.low:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{found.high:.3g}")
        above = QRectF(0, 0, self.width(), area.top())
        if found.below:
            painter.drawText(above, Qt.AlignmentFlag.AlignLeft, f"← {grouped(found.below)} below")
        if found.above:
            painter.drawText(above, Qt.AlignmentFlag.AlignRight, f"{grouped(found.above)} above →")
