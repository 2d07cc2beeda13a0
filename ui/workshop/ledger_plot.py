"""Variants as points: what they take against what they lost. The only importer of pyqtgraph, and by way of it of numpy:
`late_plot.py` imports this file when there is a plot to see, so that all else does without both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QGraphicsSimpleTextItem, QVBoxLayout, QWidget

from ui.look.theme import color, text_font, tokens
from ui.workshop.plot_points import Axis, Point

_POINT, _CHOSEN_POINT = 12, 17
_AWAY = 13
"""Pixels between the middle of a point and its label."""


class LedgerPlot(QWidget):
    """A circle a variant, a diamond for the source. What is shown can be read in the table beside it too."""

    chosen = Signal(Path)
    """Path of the variant that was clicked"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Plot of the variants; the table has the same numbers")
        self._points: tuple[Point, ...] = ()
        self._axes = (Axis("", False), Axis("", False))
        self._chosen: Path | None = None
        self._labels: list[QGraphicsSimpleTextItem] = []
        self.view = pg.PlotWidget()
        self._plot = self.view.getPlotItem()
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setMouseEnabled(False, False)
        self._plot.showGrid(x=True, y=True, alpha=0.12)
        self._scatter = pg.ScatterPlotItem(hoverable=True, hoverSize=_CHOSEN_POINT, tip=_tip, antialias=True)
        self._scatter.sigClicked.connect(self._on_clicked)
        self._plot.addItem(self._scatter)
        box = self._plot.getViewBox()
        box.sigResized.connect(lambda *_: self._later())
        box.sigRangeChanged.connect(lambda *_: self._later())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        self._placing = QTimer(self, singleShot=True, interval=0)
        self._placing.timeout.connect(self._place_labels)
        self._restyle()

    @property
    def points(self) -> tuple[Point, ...]:
        return self._points

    def show_points(self, points: Sequence[Point], across: Axis, up: Axis) -> None:
        """Draw these."""
        self._points, self._axes = tuple(points), (across, up)
        self._restyle()
        if points:
            low_x, high_x = _range([point.x for point in points], from_zero=across.from_zero)
            low_y, high_y = _range([point.y for point in points], from_zero=up.from_zero)
            self._plot.setRange(xRange=(low_x, high_x), yRange=(low_y, high_y), padding=0)

    def choose(self, path: Path | None) -> None:
        """Mark the point of this variant."""
        if path != self._chosen:
            self._chosen = path
            self._draw_points()

    def place_of(self, path: Path) -> QPointF:
        """Where the middle of its point is, in the coordinates of `view`. Raises StopIteration for a stranger."""
        point = next(point for point in self._points if point.path == path)
        scene = self._plot.getViewBox().mapViewToScene(QPointF(point.x, point.y))
        return QPointF(self.view.mapFromScene(scene))

    def label_areas(self) -> list[QRectF]:
        """Where the labels stand, in pixels of the scene."""
        return [label.sceneBoundingRect() for label in self._labels]

    def _on_clicked(self, _item: object, points: Sequence[Any], *_more: object) -> None:
        if len(points):
            self.chosen.emit(points[0].data().path)

    def _restyle(self) -> None:
        """The colours and the font of the theme in force."""
        self.view.setBackground(color("page"))
        font = text_font(tokens().size_caption, tabular=True)
        for name, axis in zip(("bottom", "left"), self._axes, strict=True):
            item = self._plot.getAxis(name)
            item.setPen(color("outline"))
            item.setTextPen(color("text_secondary"))
            item.setStyle(tickFont=font, tickTextOffset=6)
            style = {"color": color("text_secondary").name(), "font-size": f"{tokens().size_caption}px"}
            item.setLabel(axis.title, **style)
            item.setSIPrefixEnableRanges(())  # a divergence of 0.02 is not to be read as 20 thousandths
        self._draw_points()

    def _draw_points(self) -> None:
        self._scatter.setData(
            [
                {
                    "pos": (point.x, point.y),
                    "data": point,
                    "size": _CHOSEN_POINT if point.path == self._chosen else _POINT,
                    "symbol": "d" if point.is_source else "o",
                    "brush": color("accent"),
                    "pen": pg.mkPen(color("text" if point.path == self._chosen else "page"), width=2),
                }
                for point in self._points
            ]
        )
        for label in self._labels:
            self.view.scene().removeItem(label)
        self._labels = [self._label(point) for point in self._points]
        self._later()

    def _label(self, point: Point) -> QGraphicsSimpleTextItem:
        label = QGraphicsSimpleTextItem(point.label)
        label.setFont(text_font(tokens().size_caption, strong=point.path == self._chosen))
        label.setBrush(color("text"))
        label.setZValue(10)
        self.view.scene().addItem(label)
        return label

    def _later(self) -> None:
        self._placing.start()  # after the view has its new size and range

    def _place_labels(self) -> None:
        """Each where it covers no point and no other label: right of its point, else left, above, below.

        One that has room at none of them is moved into the plot: cut off it could not be read.
        """
        box = self._plot.getViewBox()
        area = box.sceneBoundingRect()
        places = [box.mapViewToScene(QPointF(point.x, point.y)) for point in self._points]
        taken = [QRectF(place.x() - 7, place.y() - 7, 14, 14) for place in places]
        for point, place, label in zip(self._points, places, self._labels, strict=True):
            short = QFontMetricsF(label.font()).elidedText(point.label, Qt.TextElideMode.ElideRight, area.width())
            label.setText(short)
            size = label.boundingRect()
            spots = [QRectF(place.x() + x, place.y() + y, size.width(), size.height()) for x, y in _spots(size)]
            moved = [_moved_into(area, one) for one in spots]
            inside = (*(one for one in spots if area.contains(one)), *moved)
            spot = next((one for one in inside if not any(one.intersects(other) for other in taken)), moved[0])
            label.setPos(spot.topLeft())
            taken.append(spot)

    # Qt overrides

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self._restyle()


def _spots(size: QRectF) -> tuple[tuple[float, float], ...]:
    middle, centre = -size.height() / 2, -size.width() / 2
    return (
        (_AWAY, middle),
        (-_AWAY - size.width(), middle),
        (centre, -_AWAY - size.height()),
        (centre, _AWAY),
        (_AWAY, -_AWAY - size.height()),
        (_AWAY, _AWAY),
    )


def _moved_into(area: QRectF, spot: QRectF) -> QRectF:
    """The nearest place for it that is wholly in the area."""
    x = max(area.left(), min(spot.x(), area.right() - spot.width()))
    y = max(area.top(), min(spot.y(), area.bottom() - spot.height()))
    return QRectF(x, y, spot.width(), spot.height())


def _range(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max((high - low) * 0.2, high * 0.08, 1e-6)
    if from_zero:
        return -0.06 * max(high, 1e-6), max(high, 1e-6) * 1.15
    return max(0.0, low - margin), high + margin


def _tip(x: float, y: float, data: Point) -> str:
    return data.words
