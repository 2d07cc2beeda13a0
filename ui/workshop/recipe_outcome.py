"""The foot of a recipe: what it will make beside the original, whether that runs well here, and Run."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ui.widgets.figure_table import FigureTable

_TITLES = ("On disk", "Memory", "A token")
_COLUMN_WIDTH = 100
_NAME_WIDTH = 180
"""“Q4_K_M without pruning”."""
_NARROW = 700
_STACKED_HEIGHT = 180
_LEAST_HEIGHT = 102
"""For three lines under the titles: the steps above must not jump while a plan is worked out."""


class RecipeOutcome(QWidget):
    """Renders what it is told."""

    run_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = FigureTable(_TITLES, _COLUMN_WIDTH, name_width=_NAME_WIDTH)
        self.verdict, self.total = _wrapped("secondary"), _wrapped("secondary")
        self.verdict.setAccessibleName("Whether the result runs here")
        self.run = QPushButton("Run")
        self.run.setProperty("role", "primary")
        self.run.setToolTip("Carry out all steps, one after the other, as one job")
        self.run.clicked.connect(self.run_requested)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.cancel_requested)
        self.cancel.hide()
        self._lay_out()
        self.setMinimumSize(1, _LEAST_HEIGHT)  # the width: narrower than both sides together, which then stand stacked

    def say(self, verdict: str, role: str = "secondary", total: str = "") -> None:
        """The sentence beside the table, and what all steps take together."""
        self.verdict.setText(verdict)
        if self.verdict.property("role") != role:
            self.verdict.setProperty("role", role)
            self.verdict.style().polish(self.verdict)
        self.total.setText(total)

    def set_running(self, running: bool, *, can_run: bool) -> None:
        """Which of the two buttons is there."""
        self.run.setVisible(not running)
        self.run.setEnabled(can_run and not running)
        self.cancel.setVisible(running)

    def _lay_out(self) -> None:
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        table = QVBoxLayout()
        table.addWidget(self.table)
        table.addStretch()
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.total, 1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.run)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(self.verdict, 1, Qt.AlignmentFlag.AlignTop)
        right.addLayout(buttons)
        sides = self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        sides.setContentsMargins(24, 12, 24, 16)
        sides.setSpacing(32)
        sides.addLayout(table, 6)
        sides.addLayout(right, 5)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        column.addLayout(sides)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        self._sides.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)
        self._sides.setSpacing(8 if narrow else 32)
        self.setMinimumHeight(_STACKED_HEIGHT if narrow else _LEAST_HEIGHT)


def _wrapped(role: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    return label
