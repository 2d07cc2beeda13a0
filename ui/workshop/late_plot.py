"""The plot of the variants, made when it is first seen: importing its library takes longer than making the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.workshop.plot_points import Axis, Point

if TYPE_CHECKING:
    from ui.workshop.ledger_plot import LedgerPlot


class LatePlot(QWidget):
    """Empty for the first moment that it is seen; keeps what the plot is to show until then."""

    chosen = Signal(Path)
    """Path of the variant that was clicked"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[Sequence[Point], Axis, Axis] | None = None
        self._choice: Path | None = None
        QVBoxLayout(self).setContentsMargins(0, 0, 0, 0)

    @cached_property
    def plot(self) -> LedgerPlot:
        """The plot itself, made now at the latest."""
        from ui.workshop.ledger_plot import LedgerPlot

        plot = LedgerPlot()
        plot.chosen.connect(self.chosen)
        if self._shown is not None:
            plot.show_points(*self._shown)
        plot.choose(self._choice)
        self.layout().addWidget(plot)
        return plot

    def show_points(self, points: Sequence[Point], across: Axis, up: Axis) -> None:
        """Do the same as `LedgerPlot.show_points`."""
        self._shown = points, across, up
        if self._is_made:
            self.plot.show_points(points, across, up)

    def choose(self, path: Path | None) -> None:
        """Do the same as `LedgerPlot.choose`."""
        self._choice = path
        if self._is_made:
            self.plot.choose(path)

    @property
    def _is_made(self) -> bool:
        return "plot" in self.__dict__

    # Qt overrides

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(0, self, lambda: self.plot)  # after the page around it was painted
