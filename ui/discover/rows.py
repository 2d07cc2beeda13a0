"""The models of one repository as rows, judged for this computer. REMOTE_ROLE returns the row's RemoteRow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from app.fit.advice import Choice, ms_text
from app.fit.judgement import Made
from app.fit.judging import made_key
from app.hub.repository import RemoteModel
from ui.words import size

REMOTE_ROLE = Qt.ItemDataRole.UserRole + 1
STOPPED = "stopped"
"""The state of a download that has failed."""
HERE, DOWNLOADED = "here", "downloaded"
"""Can be chatted with; original weights, of which something can be made."""
MAKING, PAUSED = "in the making", "paused"
_Index = QModelIndex | QPersistentModelIndex
_NO_INDEX = QModelIndex()


@dataclass(frozen=True, slots=True)
class RemoteRow:
    """A model, what is known of its fit (None: not yet), and whether it is the one to take. `state` says in a word
    what is already being done with it: "downloading", "paused", "here"; "" otherwise. `trouble` is why it has stopped.

    Of original weights there is a row for each `type` that can be made of them.
    """

    model: RemoteModel
    choice: Choice | None = None
    is_best: bool = False
    state: str = ""
    trouble: str = ""
    type: str = ""
    made: Made | None = None
    """What is known of the file that would be made; None where it is the file that is downloaded."""

    @property
    def name(self) -> str:
        """What the row is called."""
        return self.type or self.model.label

    @property
    def key(self) -> str:
        """Names the row in its repository, as the judgement of it does."""
        return made_key(self.model.key, self.type) if self.type else self.model.key


class RemoteColumn(IntEnum):
    """The columns in their order."""

    NAME = 0
    SIZE = 1
    NEEDS = 2
    SPEED = 3
    VERDICT = 4


REMOTE_TITLES = {
    RemoteColumn.NAME: "File",
    RemoteColumn.SIZE: "Size",
    RemoteColumn.NEEDS: "Memory",
    RemoteColumn.SPEED: "A token takes",
    RemoteColumn.VERDICT: "Fits?",
}
_NUMBERS = frozenset({RemoteColumn.SIZE, RemoteColumn.NEEDS, RemoteColumn.SPEED})


class RemoteModelsModel(QAbstractTableModel):
    """Rows by size, smallest first."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: list[RemoteRow] = []

    @property
    def rows(self) -> tuple[RemoteRow, ...]:
        return tuple(self._rows)

    def set_rows(self, rows: Sequence[RemoteRow]) -> None:
        """Show these; where the models are the same, only their values change."""
        if [(row.model, row.type) for row in rows] != [(row.model, row.type) for row in self._rows]:
            self.beginResetModel()
            self._rows = list(rows)
            self.endResetModel()
        elif list(rows) != self._rows:
            self._rows = list(rows)
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(RemoteColumn) - 1))

    def row_of(self, key: str) -> int:
        """-1 where there is none."""
        return next((n for n, row in enumerate(self._rows) if row.key == key), -1)

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(RemoteColumn)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return REMOTE_TITLES[RemoteColumn(section)]
        return _alignment(RemoteColumn(section)) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], RemoteColumn(index.column())
        if role == REMOTE_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return remote_cell(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.AccessibleTextRole and column is RemoteColumn.NAME:
            best = "best for this computer, " if row.is_best else ""
            return f"{row.name}, {best}{remote_cell(row, RemoteColumn.VERDICT)}"
        return row.model.key if role == Qt.ItemDataRole.ToolTipRole else None


def remote_cell(row: RemoteRow, column: RemoteColumn) -> str:
    """The words of one cell; "…" while it is being found out."""
    verdict = row.choice.verdict if row.choice else None
    match column:
        case RemoteColumn.NAME:
            return row.name
        case RemoteColumn.SIZE if row.type:
            return size(row.made.size_bytes) if row.made else "…"
        case RemoteColumn.SIZE:
            return size(row.model.size_bytes)
        case RemoteColumn.VERDICT if row.choice is None:
            return "…"
        case RemoteColumn.VERDICT if row.choice.refused:
            return "not possible"
        case RemoteColumn.VERDICT:
            return verdict.verdict.value if verdict else "cannot tell"
        case RemoteColumn.NEEDS if verdict:
            return size(verdict.need.resident_bytes)
        case RemoteColumn.SPEED if row.choice and row.choice.ms_per_token is not None:
            return f"≈ {ms_text(row.choice.ms_per_token)}"
    return ""


def _alignment(column: RemoteColumn) -> Qt.AlignmentFlag:
    horizontal = Qt.AlignmentFlag.AlignRight if column in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return horizontal | Qt.AlignmentFlag.AlignVCenter
