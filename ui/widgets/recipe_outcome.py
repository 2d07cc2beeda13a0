"""The foot of a recipe: what it will make beside the original, whether that runs well here, and Run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ui.theme import text_font

_TITLES = ("", "On disk", "Memory", "A token")
_NUMBER_WIDTH = 104
_NAME_WIDTH = 168
_MOST_ROWS = 7
_LEAST_HEIGHT = 102
"""For three lines under the titles: the steps above must not jump while a plan is worked out."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """A line of the table: a name, then words for size, memory and time of a token. The result's lines are strong."""

    name: str
    size: str
    memory: str
    ms: str
    strong: bool = False


class RecipeOutcome(QWidget):
    """Renders what it is told."""

    run_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[OutcomeRow, ...] = ()
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(0, 1)
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
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.show_rows(())

    def show_rows(self, rows: Sequence[OutcomeRow]) -> None:
        """The table under its titles."""
        self.rows = tuple(rows)
        while self._grid.count():
            item = self._grid.takeAt(0)
            if item is not None and (label := item.widget()) is not None:
                label.hide()
                label.deleteLater()
        for column, title in enumerate(_TITLES):
            self._put(0, column, title, "caption")
        for number, row in enumerate(self.rows[:_MOST_ROWS], 1):
            role = "strong" if row.strong else "secondary"
            for column, words in enumerate((row.name, row.size, row.memory, row.ms)):
                self._put(number, column, words, role)

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

    def _put(self, row: int, column: int, words: str, role: str) -> None:
        label = QLabel(words)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setProperty("role", role)
        label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        if column:
            if row:
                label.setFont(text_font(tabular=True))
            label.setFixedWidth(_NUMBER_WIDTH)
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        else:
            label.setMinimumWidth(_NAME_WIDTH)
            label.setToolTip(words)
        self._grid.addWidget(label, row, column)

    def _lay_out(self) -> None:
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        table = QVBoxLayout()
        table.addLayout(self._grid)
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
        sides = QHBoxLayout()
        sides.setContentsMargins(24, 12, 24, 16)
        sides.setSpacing(32)
        sides.addLayout(table, 6)
        sides.addLayout(right, 5)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        column.addLayout(sides)


def _wrapped(role: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    return label
