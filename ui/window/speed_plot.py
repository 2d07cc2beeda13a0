"""The live plot: ms of the last 240 tokens against the target, painted by hand: the window loads no plot library."""

from __future__ import annotations

import math
from collections import deque

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.look.theme import color, text_font, tokens

SHOWN_TOKENS = 240
_MOST_ABOVE_TARGET = 2.5
"""A single token slower than this many targets is cut at the top: it must not flatten all others."""


class SpeedPlot(QWidget):
    """One step a token, the newest at the right; a dashed line with its label is the target."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: deque[float] = deque(maxlen=SHOWN_TOKENS)
        self._target_ms = 200.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Plot of the time of the last 240 tokens")

    @property
    def values(self) -> tuple[float, ...]:
        """The ms shown, the oldest first."""
        return tuple(self._values)

    def set_target(self, ms: float) -> None:
        self._target_ms = ms
        self.update()

    def add(self, ms: float) -> None:
        """One more token. Does not repaint: whoever adds calls `update` at its own pace."""
        self._values.append(ms)

    def clear(self) -> None:
        self._values.clear()
        self.update()

    def top_ms(self) -> float:
        """The value at the upper edge: a round number that leaves the target line in sight."""
        slowest = min(max(self._values, default=0.0), self._target_ms * _MOST_ABOVE_TARGET)
        wanted = max(self._target_ms * 1.25, slowest * 1.05, 1.0)
        step = 10 ** math.floor(math.log10(wanted)) / 2
        return math.ceil(wanted / step) * step

    def sizeHint(self) -> QSize:
        return QSize(248, 128)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(text_font(tokens().size_caption, tabular=True))
        line_height = painter.fontMetrics().height()
        area = QRectF(0, line_height / 2, self.width(), self.height() - line_height * 1.5 - 4)
        self._paint_frame(painter, area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_values(painter, area)
        self._paint_target(painter, area)

    def _paint_frame(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(QPen(color("hairline"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"last {SHOWN_TOKENS} tokens")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, "now")

    def _paint_values(self, painter: QPainter, area: QRectF) -> None:
        if not self._values:
            return
        line = self._line(area)
        fill = QPolygonF(line)
        fill.append(QPointF(line.last().x(), area.bottom()))
        fill.append(QPointF(line.first().x(), area.bottom()))
        shade = QColor(color("accent"))
        shade.setAlpha(36)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawPolygon(fill)
        painter.setPen(QPen(color("accent"), 1.5))
        painter.drawPolyline(line)

    def _line(self, area: QRectF) -> QPolygonF:
        top, step = self.top_ms(), area.width() / (SHOWN_TOKENS - 1)
        first_x = area.right() - step * (len(self._values) - 1)
        line = QPolygonF()
        for index, value in enumerate(self._values):
            line.append(QPointF(first_x + index * step, area.bottom() - min(value / top, 1.0) * area.height()))
        if line.size() == 1:
            line.append(line.first() + QPointF(1, 0))
        return line

    def _paint_target(self, painter: QPainter, area: QRectF) -> None:
        y = round(area.bottom() - self._target_ms / self.top_ms() * area.height()) + 0.5
        label = f"target {self._target_ms:,.0f} ms"
        width = painter.fontMetrics().horizontalAdvance(label)
        painter.setPen(QPen(color("text_secondary"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(width + 8, y), QPointF(area.right(), y))
        height = painter.fontMetrics().height()
        place = QRectF(0, y - height / 2, width + 6, height)
        backing = color("side")
        backing.setAlpha(210)
        painter.fillRect(place, backing)  # the values may run behind the words
        painter.setPen(color("text_secondary"))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, label)
