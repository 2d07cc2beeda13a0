"""A few lines of figures under titles, where a list to choose from would be too much: labels in a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from ui.look.theme import text_font
from ui.widgets.elided_label import ElidedLabel

_NAME_WIDTH = 152
_MOST_ROWS = 7


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A name and a word for each title; what the table is about is `strong`."""

    name: str
    values: tuple[str, ...]
    strong: bool = False


class FigureTable(QWidget):
    """The first column takes the room that is left; the others are wide enough for every figure, so nothing jumps."""

    def __init__(
        self, titles: Sequence[str], column_width: int, parent: QWidget | None = None, *, name_width: int = _NAME_WIDTH
    ) -> None:
        super().__init__(parent)
        self.rows: tuple[FigureRow, ...] = ()
        self._columns = tuple(range(len(titles)))
        self._titles, self._width = tuple(titles), column_width
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnMinimumWidth(0, name_width)
        self.show_rows(())

    def show_columns(self, columns: Sequence[int]) -> None:
        """Only these, where there is no room for all."""
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self.show_rows(self.rows)

    def show_rows(self, rows: Sequence[FigureRow]) -> None:
        """Show rows in the place of what is shown."""
        self.rows = tuple(rows)
        while self._grid.count():
            item = self._grid.takeAt(0)
            if item is not None and (label := item.widget()) is not None:
                label.hide()
                label.deleteLater()
        for place, column in enumerate(self._columns, 1):
            self._put_figure(0, place, self._titles[column], "caption")
        for number, row in enumerate(self.rows[:_MOST_ROWS], 1):
            role = "strong" if row.strong else "secondary"
            name = ElidedLabel(role)
            name.say(row.name)
            self._grid.addWidget(name, number, 0)
            for place, column in enumerate(self._columns, 1):
                self._put_figure(number, place, row.values[column], role)

    def _put_figure(self, row: int, column: int, words: str, role: str) -> None:
        label = QLabel(words)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setProperty("role", role)
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        label.setFixedWidth(self._width)
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if row:
            label.setFont(text_font(tabular=True))
        self._grid.addWidget(label, row, column)


# Names and what is known of them, in two columns that line up.


_NAME_WIDTH_OF_GRID = 208


class FactsGrid(QWidget):
    """Texts can be selected and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(8)
        self._grid.setColumnMinimumWidth(0, _NAME_WIDTH_OF_GRID)
        self._grid.setColumnStretch(1, 1)
        self.values: dict[str, QLabel] = {}

    def show_facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Show these; of a name that is there already the new text."""
        for name, text in facts:
            if name not in self.values:
                self._add(name)
            self.values[name].setText(text)

    def _add(self, name: str) -> None:
        row = self._grid.rowCount()
        label, value = QLabel(name), QLabel()
        label.setProperty("role", "secondary")
        for one in (label, value):
            one.setTextFormat(Qt.TextFormat.PlainText)
        value.setWordWrap(True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        value.setAccessibleName(name)
        label.setBuddy(value)
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, row, 1, Qt.AlignmentFlag.AlignTop)
        self.values[name] = value
