"""The plot of the variants: every label can be read whole, wherever its point is."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QGraphicsSimpleTextItem
from pytestqt.qtbot import QtBot

from ui.workshop.ledger_plot import LedgerPlot
from ui.workshop.plot_points import Axis, Point

AXES = Axis("A token takes (ms)", False), Axis("KL divergence", True)
LONG = "FFN 512 recovered with LoRA Q4_K_M imatrix"


def points(*places: tuple[float, float, str]) -> list[Point]:
    return [Point(Path(f"/{number}"), label, x, y, label) for number, (x, y, label) in enumerate(places)]


def shown(qtbot: QtBot, width: int, *places: tuple[float, float, str]) -> LedgerPlot:
    plot = LedgerPlot()
    qtbot.addWidget(plot)
    plot.resize(width, 300)
    plot.show_points(points(*places), *AXES)
    with qtbot.waitExposed(plot):
        plot.show()
    return plot


def is_inside(plot: LedgerPlot) -> bool:
    area: QRectF = plot.view.getPlotItem().getViewBox().sceneBoundingRect()
    areas = plot.label_areas()
    return area.width() > 0 and bool(areas) and all(area.contains(one) for one in areas)


def label_of(plot: LedgerPlot) -> str:
    (label,) = [item for item in plot.view.scene().items() if isinstance(item, QGraphicsSimpleTextItem)]
    return label.text()


@pytest.mark.parametrize("width", [560, 320])
def test_a_long_label_at_the_edge_is_whole(qtbot: QtBot, width: int) -> None:
    """Too long for the right of its point and for the left: the plot is hardly wider than the label."""
    plot = shown(qtbot, width, (10.0, 0.2, "Q8_0"), (20.0, 0.3, LONG), (21.0, 0.02, "Q4_K_M"))
    qtbot.waitUntil(lambda: is_inside(plot))


def test_a_label_that_is_wider_than_the_plot_ends_in_dots(qtbot: QtBot) -> None:
    plot = shown(qtbot, 240, (10.0, 0.2, LONG))
    qtbot.waitUntil(lambda: is_inside(plot))
    assert label_of(plot).endswith("…")
    plot.resize(560, 300)
    qtbot.waitUntil(lambda: label_of(plot) == LONG)
