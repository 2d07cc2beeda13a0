"""The input channels of a tensor by their strength, those that stand out marked with a triangle and their number."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from app.inspect.messages import ChannelPicture
from ui.inspect.words import channels_words
from ui.look.theme import color
from ui.widgets.bar_picture import BarPicture

_LEAST_TOP = 1.3
_NUMBERED = 6


class ChannelPlot(BarPicture):
    """One bar for each stretch of channels; a dashed line is where standing out begins, if it is in sight."""

    gap = 8

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Strength of the input channels", parent)
        self._picture: ChannelPicture | None = None

    def show_picture(self, picture: ChannelPicture) -> None:
        self._picture = picture
        self.setAccessibleDescription(channels_words(picture))
        self.update()

    @property
    def top(self) -> float:
        """Times the median at the upper edge."""
        assert self._picture is not None
        return max(_LEAST_TOP, max(self._picture.bars) * 1.05)

    def paint(self, painter: QPainter, area: QRectF) -> None:
        if self._picture is not None:
            self._paint_bars(painter, area, self._picture)
            self._paint_marks(painter, area, self._picture)
            self._paint_words(painter, area, self._picture)

    def _paint_bars(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        width = area.width() / len(picture.bars)
        for number, times in enumerate(picture.bars):
            height = times / self.top * area.height()
            far = times >= picture.threshold
            bar = QRectF(area.left() + number * width, area.bottom() - height, max(1.0, width - 0.5), height)
            painter.fillRect(bar, color("danger" if far else "accent"))
        if picture.threshold < self.top:
            y = round(area.bottom() - picture.threshold / self.top * area.height()) + 0.5
            painter.setPen(QPen(color("text_secondary"), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))

    def _paint_marks(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        """A triangle above each, and the numbers of the strongest where they have room."""
        metrics, taken = painter.fontMetrics(), list[QRectF]()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for rank, channel in enumerate(picture.outliers):
            x = area.left() + (channel.number + 0.5) / picture.channels * area.width()
            y = max(area.top(), area.bottom() - channel.times / self.top * area.height()) - 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color("danger"))
            painter.drawPolygon(QPolygonF([QPointF(x - 3, y - 5), QPointF(x + 3, y - 5), QPointF(x, y)]))
            width = metrics.horizontalAdvance(str(channel.number)) + 4
            left = min(max(0.0, x - width / 2), self.width() - width)
            place = QRectF(left, y - 6 - metrics.height(), width, metrics.height())
            if rank < _NUMBERED and not any(place.intersects(other) for other in taken):
                painter.setPen(color("text"))
                painter.drawText(place, Qt.AlignmentFlag.AlignCenter, str(channel.number))
                taken.append(place)

    def _paint_words(self, painter: QPainter, area: QRectF, picture: ChannelPicture) -> None:
        painter.setPen(color("text_secondary"))
        below = QRectF(0, area.bottom() + 4, self.width(), self.height() - area.bottom() - 4)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"{max(picture.bars):.1f} × the median at most")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(picture.channels - 1))
