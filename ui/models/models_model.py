"""The models on this machine as rows. ENTRY_ROLE returns the row's ModelEntry; page and picker share one model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt

from app.library.library import ModelEntry, ModelSource
from app.measure.ledger import Figures
from app.units import grouped
from ui.look.theme import color
from ui.words import size

ENTRY_ROLE = Qt.ItemDataRole.UserRole + 1
LOADED_ROLE = Qt.ItemDataRole.UserRole + 2
"""True for the row of the model that is in memory."""
_SORT_ROLE = Qt.ItemDataRole.UserRole + 3
_Index = QModelIndex | QPersistentModelIndex

SOURCE_WORDS = {
    ModelSource.STARTER: "starter",
    ModelSource.MODELS_FOLDER: "models folder",
    ModelSource.EXTRA_FOLDER: "your folder",
    ModelSource.SINGLE_FILE: "single file",
    ModelSource.AWAY: "not there now",
}


class Column(IntEnum):
    """The columns in their order."""

    NAME = 0
    ARCHITECTURE = 1
    PARAMETERS = 2
    QUANTIZATION = 3
    CONTEXT = 4
    SIZE = 5
    WHERE = 6


TITLES = {
    Column.NAME: "Name",
    Column.ARCHITECTURE: "Architecture",
    Column.PARAMETERS: "Parameters",
    Column.QUANTIZATION: "Quantization",
    Column.CONTEXT: "Context",
    Column.SIZE: "Size",
    Column.WHERE: "Where",
}
NUMBERS = frozenset({Column.PARAMETERS, Column.CONTEXT, Column.SIZE})


class ModelsModel(QAbstractTableModel):
    """Rows by name, one a model. `set_entries` keeps selection and scrolling where the rows stay the same."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[ModelEntry, ...] = ()
        self._loaded: Path | None = None
        self._figures: dict[Path, Figures] = {}

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        return self._entries

    @property
    def figures(self) -> dict[Path, Figures]:
        """What was measured of them, by path; without those that were not measured."""
        return self._figures

    @property
    def loaded(self) -> Path | None:
        """The model that is in memory."""
        return self._loaded

    def set_figures(self, figures: dict[Path, Figures]) -> None:
        """Announced as a change of the rows."""
        if figures != self._figures:
            self._figures = figures
            self._announce()

    def set_entries(self, entries: Sequence[ModelEntry]) -> None:
        """Show these. Nothing is reset when nothing changed; values alone are updated when the files are the same."""
        new = tuple(entries)
        if new == self._entries:
            return
        if [entry.path for entry in new] == [entry.path for entry in self._entries]:
            self._entries = new
            self.dataChanged.emit(self.index(0, 0), self.index(len(new) - 1, len(Column) - 1))
            return
        self.beginResetModel()
        self._entries = new
        self.endResetModel()

    def set_loaded(self, path: Path | None) -> None:
        """Mark the row of the model that is in memory."""
        if path == self._loaded:
            return
        self._loaded = path
        self._announce()

    def _announce(self) -> None:
        if self._entries:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._entries) - 1, len(Column) - 1))

    def entry(self, path: Path) -> ModelEntry | None:
        """The row of that file."""
        return next((entry for entry in self._entries if entry.path == path), None)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = Column(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return TITLES[column]
        return _alignment(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        entry, column = self._entries[index.row()], Column(index.column())
        if role == ENTRY_ROLE:
            return entry
        if role == LOADED_ROLE:
            return entry.path == self._loaded
        if role == Qt.ItemDataRole.DisplayRole:
            return cell(entry, column)
        if role == _SORT_ROLE:
            return _sort_key(entry, column)
        return self._look(entry, column, role)

    def _look(self, entry: ModelEntry, column: Column, role: int) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{entry.problem}\n{entry.path}".strip()
        if role == Qt.ItemDataRole.ForegroundRole and entry.problem:
            return color("text_secondary")
        if role == Qt.ItemDataRole.AccessibleTextRole and column is Column.NAME:
            loaded = "loaded, " if entry.path == self._loaded else ""
            return f"{entry.name}, {loaded}{entry.problem or size(entry.size_bytes)}"
        return None


class ModelsFilter(QSortFilterProxyModel):
    """Sorts by the numbers behind the words, and keeps the rows in which every word of the text occurs."""

    def __init__(self, source: ModelsModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self.setSourceModel(source)
        self.setSortRole(_SORT_ROLE)
        self.sort(Column.NAME)

    def set_text(self, text: str) -> None:
        """Words of name, architecture, quantization and file name, in any order."""
        self._words = text.casefold().split()
        self.invalidate()

    def entry_at(self, index: QModelIndex) -> ModelEntry | None:
        return index.data(ENTRY_ROLE) if index.isValid() else None

    def row_of(self, path: Path) -> QModelIndex:
        """The first cell of that file's row; invalid where it is not shown."""
        rows = (self.index(row, Column.NAME) for row in range(self.rowCount()))
        return next((index for index in rows if index.data(ENTRY_ROLE).path == path), QModelIndex())

    def filterAcceptsRow(self, source_row: int, source_parent: _Index) -> bool:
        entry: ModelEntry = self.sourceModel().index(source_row, 0, source_parent).data(ENTRY_ROLE)
        header = entry.header
        text = f"{entry.name} {entry.path.name} " + (f"{header.architecture} {header.quantization}" if header else "")
        return all(word in text.casefold() for word in self._words)


def cell(entry: ModelEntry, column: Column) -> str:
    """The words of one cell; "" where the file does not say."""
    header = entry.header
    match column:
        case Column.NAME:
            return entry.name
        case Column.SIZE:
            return size(entry.size_bytes) if entry.size_bytes else ""
        case Column.WHERE:
            return SOURCE_WORDS[entry.source]
        case _ if header is None:
            return ""
        case Column.ARCHITECTURE:
            return header.architecture
        case Column.PARAMETERS:
            return header.parameters_str
        case Column.QUANTIZATION:
            return header.quantization
        case _:
            return grouped(header.context_tokens) if header.context_tokens else ""


def _sort_key(entry: ModelEntry, column: Column) -> Any:
    header = entry.header
    match column:
        case Column.SIZE:
            return float(entry.size_bytes)
        case Column.PARAMETERS:
            return float(header.parameters if header else 0)
        case Column.CONTEXT:
            return float(header.context_tokens if header else 0)
        case _:
            return cell(entry, column).casefold()


def _alignment(column: Column) -> Qt.AlignmentFlag:
    horizontal = Qt.AlignmentFlag.AlignRight if column in NUMBERS else Qt.AlignmentFlag.AlignLeft
    return horizontal | Qt.AlignmentFlag.AlignVCenter
