"""The table of a repository's models. The first column has the file below the quantization, and the advice."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from app.fit.verdict import Verdict
from ui.discover.rows import REMOTE_ROLE, STOPPED, RemoteColumn, RemoteModelsModel, RemoteRow
from ui.look.theme import color, text_font, tokens
from ui.words import size

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
