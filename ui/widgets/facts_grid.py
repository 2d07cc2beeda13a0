"""Names and what is known of them, in two columns that line up."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

_NAME_WIDTH = 208


class FactsGrid(QWidget):
    """Texts can be selected and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(8)
        self._grid.setColumnMinimumWidth(0, _NAME_WIDTH)
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
