"""A pruned model beside what it was, and beside the ready-made smaller model of its family on the hub."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.fit.smaller_siblings import Sibling
from ui.widgets.elided_label import ElidedLabel
from ui.widgets.figure_table import FigureRow, FigureTable
from ui.workshop.counterparts import TITLES, ready_made_row

_COLUMN_WIDTH = 92
"""“about 1.2 GB”."""
_NARROW = 740
_MOST_NEEDED = (1, 2, 4)
"""Memory, time of a token, KL."""


class ComparisonView(QWidget):
    """Renders what it is told."""

    discover_requested = Signal(str)
    """What to look for"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[FigureRow, ...] = ()
        self._found: Sibling | None = None
        self.table = FigureTable(TITLES, _COLUMN_WIDTH)
        self.words = ElidedLabel("secondary")
        self.show_on_discover = QPushButton("Show on Discover")
        self.show_on_discover.clicked.connect(self._on_discover)
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        row.addWidget(self.show_on_discover)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(line)
        column.addWidget(self.table)
        column.addLayout(row)
        self.setMinimumWidth(1)  # narrower than all columns together: some are left out then
        self.say("")

    def show_rows(self, rows: Sequence[FigureRow]) -> None:
        """Before and after."""
        if tuple(rows) != self._rows:
            self._rows = tuple(rows)
            self._draw()

    def say(self, words: str) -> None:
        """In the place of a ready-made model: that one is looked for, that there is none, that the hub is away."""
        self._found = None
        self.words.say(words)
        self.show_on_discover.setEnabled(False)
        self._draw()

    def show_ready_made(self, found: Sibling, words: str) -> None:
        """The one to compare with, and what is to be said of it."""
        self._found = found
        self.words.say(words)
        self.show_on_discover.setEnabled(True)
        self._draw()

    def _draw(self) -> None:
        self.table.show_rows([*self._rows, *([ready_made_row(self._found)] if self._found is not None else ())])

    def _on_discover(self) -> None:
        if self._found is not None:
            self.discover_requested.emit(self._found.repository)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.table.show_columns(_MOST_NEEDED if self.width() < _NARROW else range(len(TITLES)))
