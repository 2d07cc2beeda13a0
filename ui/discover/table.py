"""The table of a repository's models. The first column has the file below the quantization, and the advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from app.fit.judgement import Made, made_key
from app.fit.verdict import Choice, Verdict, ms_text
from app.hub.repository import RemoteModel
from ui.look.theme import color, text_font, tokens
from ui.words import size

# The models of one repository as rows, judged for this computer. REMOTE_ROLE returns the row's RemoteRow.


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


_ROW_HEIGHT = 44
_WIDTHS = {RemoteColumn.SIZE: 84, RemoteColumn.NEEDS: 84, RemoteColumn.SPEED: 100, RemoteColumn.VERDICT: 104}
_LEAST_NAME = 132
_LEAST_NEEDED_FIRST = (RemoteColumn.NEEDS, RemoteColumn.SIZE, RemoteColumn.SPEED)
_TONES = {Verdict.FITS: "success", Verdict.TIGHT: "warning"}


class RemoteModelTable(QTreeView):
    """One row chosen at a time."""

    entered = Signal()
    """Enter on a row"""

    def __init__(self, rows: RemoteModelsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(rows)
        self.setAccessibleName("Files of this model")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setItemDelegate(_CellDelegate(self))
        self.setVerticalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(56)
        header.setSectionResizeMode(RemoteColumn.NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in _WIDTHS.items():
            header.resizeSection(column, width)

    def _hide_what_does_not_fit(self) -> None:
        """Where the table is narrow the name and the verdict keep their room; the sentence below says the rest."""
        room = self.viewport().width() - _LEAST_NAME - sum(_WIDTHS.values())
        for column in _LEAST_NEEDED_FIRST:
            self.setColumnHidden(column, room < 0)
            room += _WIDTHS[column] if room < 0 else 0

    # Qt overrides

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered.emit()
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_what_does_not_fit()


class _CellDelegate(QStyledItemDelegate):
    """A row is one surface where it is selected or pointed at; the verdict has a colour and its word."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row: RemoteRow = index.data(REMOTE_ROLE)
        painter.save()
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, color("selected" if selected else "hover"))
        is_name = index.column() == RemoteColumn.NAME
        if selected and is_name and option.widget is not None and option.widget.hasFocus():
            painter.fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), color("accent"))
        area = option.rect.adjusted(8, 4, -8, -4)
        if is_name:
            self._paint_name(painter, area, row)
        else:
            painter.setFont(text_font(tabular=True))
            painter.setPen(color(_tone(row) if index.column() == RemoteColumn.VERDICT else "text"))
            painter.drawText(area, index.data(Qt.ItemDataRole.TextAlignmentRole), index.data() or "")
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, _ROW_HEIGHT)

    def _paint_name(self, painter: QPainter, area: QRect, row: RemoteRow) -> None:
        half = area.height() // 2
        upper = QRect(area.left(), area.top(), area.width(), half)
        lower = QRect(area.left(), area.top() + half, area.width(), half)
        word, tone = ("take this one", "accent") if row.is_best else ("", "text_secondary")
        if row.state:
            word, tone = row.state, "danger" if row.state == STOPPED else "text_secondary"
        painter.setFont(text_font(tokens().size_caption, strong=True))
        painter.setPen(color(tone))
        painter.drawText(upper, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, word)
        room = upper.width() - (painter.fontMetrics().horizontalAdvance(word) + 12 if word else 0)
        painter.setFont(text_font(strong=True))
        painter.setPen(color("text"))
        _draw(painter, QRect(upper.left(), upper.top(), room, half), row.name)
        painter.setFont(text_font(tokens().size_caption))
        painter.setPen(color("text_secondary"))
        _draw(painter, lower, _origin(row))


def _origin(row: RemoteRow) -> str:
    """The file, or what it would be made of."""
    if row.type:
        return f"from {size(row.model.size_bytes)} to download"
    parts = f" and {len(row.model.files) - 1} more files" if len(row.model.files) > 1 else ""
    return row.model.files[0].name + parts


def _tone(row: RemoteRow) -> str:
    if row.choice is None or row.choice.verdict is None:
        return "text_secondary"
    return _TONES.get(row.choice.verdict.verdict, "danger")


def _draw(painter: QPainter, area: QRect, text: str) -> None:
    short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, area.width())
    painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short)
