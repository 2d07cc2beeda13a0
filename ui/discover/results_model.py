"""Repositories as rows, from a search that grows while one scrolls. RESULT_ROLE returns the row's ResultRow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from app.hub.repository import Gate, ModelFormat, RepositorySummary

RESULT_ROLE = Qt.ItemDataRole.UserRole + 1
_Index = QModelIndex | QPersistentModelIndex
_NO_INDEX = QModelIndex()


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A repository, and where it is suggested why."""

    summary: RepositorySummary
    why: str = ""


class SearchResultsModel(QAbstractListModel):
    """Rows in the hub's order. Asks for more when the view comes to the end of what is there."""

    more_wanted = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: list[ResultRow] = []
        self._has_more = False

    @property
    def rows(self) -> tuple[ResultRow, ...]:
        return tuple(self._rows)

    def replace(self, rows: Sequence[ResultRow]) -> None:
        """The first rows of another search; whether there are more is said by `set_has_more`."""
        self.beginResetModel()
        self._rows, self._has_more = list(rows), False
        self.endResetModel()

    def append(self, rows: Sequence[ResultRow]) -> None:
        """More of the same search; a repository that is there already is left out."""
        known = {row.summary.id for row in self._rows}
        new = [row for row in rows if row.summary.id not in known]
        if new:
            self.beginInsertRows(_NO_INDEX, len(self._rows), len(self._rows) + len(new) - 1)
            self._rows += new
            self.endInsertRows()

    def set_has_more(self, has_more: bool) -> None:
        self._has_more = has_more

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def canFetchMore(self, parent: _Index) -> bool:
        return self._has_more and not parent.isValid()

    def fetchMore(self, parent: _Index) -> None:
        self._has_more = False  # until the answer is there
        self.more_wanted.emit()

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == RESULT_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.summary.id
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(part for part in (row.summary.name, row.summary.author, row.why, facts(row)) if part)
        return f"{row.summary.id}\n{row.why}".strip() if role == Qt.ItemDataRole.ToolTipRole else None


def facts(row: ResultRow) -> str:
    """ "4.0 B · 81 k downloads · needs permission"."""
    summary = row.summary
    parts = [
        count(summary.parameters) if summary.parameters else "",
        f"{count(summary.downloads)} downloads" if summary.downloads else "",
        "original weights" if summary.formats == (ModelFormat.SAFETENSORS,) else "",
        "needs permission" if summary.gate is not Gate.OPEN else "",
    ]
    return " · ".join(part for part in parts if part)


def count(number: int) -> str:
    """A large number in three figures at most: 4.0 B, 812 M, 81 k."""
    for unit, factor in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= factor:
            value = number / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return str(number)
