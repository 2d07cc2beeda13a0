"""The table of the models page. Its first column has two lines: the name, and what is wrong or the file."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from app.library.library import ModelEntry
from ui.item_models.models import ENTRY_ROLE, LOADED_ROLE, Column, ModelsFilter
from ui.theme import color, text_font, tokens

_ROW_HEIGHT = 48
_WIDTHS = {
    Column.ARCHITECTURE: 96,
    Column.PARAMETERS: 88,
    Column.QUANTIZATION: 96,
    Column.CONTEXT: 76,
    Column.SIZE: 72,
    Column.WHERE: 104,
}
_LEAST_NAME = 240
_LEAST_NEEDED_FIRST = (Column.WHERE, Column.ARCHITECTURE, Column.CONTEXT, Column.PARAMETERS)


class ModelTable(QTreeView):
    """One row selected at a time; sorted by a click on a title."""

    def __init__(self, rows: ModelsFilter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(rows)
        self.setAccessibleName("Models on this computer")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setSortingEnabled(True)
        self.sortByColumn(Column.NAME, Qt.SortOrder.AscendingOrder)
        self.setItemDelegate(_CellDelegate(self))
        self.setHorizontalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._size_columns()

    def _hide_what_does_not_fit(self) -> None:
        """Where the table is narrow the name keeps its room; the details below say what is hidden."""
        room = self.viewport().width() - _LEAST_NAME - sum(_WIDTHS.values())
        for column in _LEAST_NEEDED_FIRST:
            self.setColumnHidden(column, room < 0)
            room += _WIDTHS[column] if room < 0 else 0

    def _size_columns(self) -> None:
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(56)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in _WIDTHS.items():
            header.resizeSection(column, width)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_what_does_not_fit()


class _CellDelegate(QStyledItemDelegate):
    """Paints a row as one rounded surface where it is selected or pointed at, and the focus ring around it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        painter.save()
        self._paint_surface(painter, option, index)
        area = option.rect.adjusted(8, 4, -8, -4)
        if index.column() == Column.NAME:
            self._paint_name(painter, area, index)
        else:
            self._paint_text(painter, area, index)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, _ROW_HEIGHT)

    def _paint_surface(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(option.rect, color("selected"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, color("hover"))
        if selected and index.column() == Column.NAME and option.widget is not None and option.widget.hasFocus():
            edge = QRect(option.rect.left(), option.rect.top(), 3, option.rect.height())
            painter.fillRect(edge, color("accent"))

    def _paint_name(self, painter: QPainter, area: QRect, index: QModelIndex | QPersistentModelIndex) -> None:
        entry: ModelEntry = index.data(ENTRY_ROLE)
        upper = QRect(area.left(), area.top(), area.width(), area.height() // 2)
        lower = QRect(area.left(), upper.bottom() + 1, area.width(), area.height() // 2)
        mark = 0
        if index.data(LOADED_ROLE):
            mark = self._paint_loaded(painter, upper)
        painter.setFont(text_font(strong=True))
        painter.setPen(color("text_secondary" if entry.problem else "text"))
        self._draw(painter, upper.adjusted(0, 0, -mark, 0), entry.name, Qt.AlignmentFlag.AlignLeft)
        painter.setFont(text_font(tokens().size_caption))
        painter.setPen(color("danger" if entry.problem else "text_secondary"))
        self._draw(painter, lower, entry.problem or entry.path.name, Qt.AlignmentFlag.AlignLeft)

    def _paint_loaded(self, painter: QPainter, area: QRect) -> int:
        painter.setFont(text_font(tokens().size_caption, strong=True))
        painter.setPen(color("accent"))
        painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "loaded")
        return painter.fontMetrics().horizontalAdvance("loaded") + 12

    def _paint_text(self, painter: QPainter, area: QRect, index: QModelIndex | QPersistentModelIndex) -> None:
        painter.setFont(text_font(tabular=True))
        entry: ModelEntry = index.data(ENTRY_ROLE)
        painter.setPen(color("text_secondary" if entry.problem else "text"))
        self._draw(painter, area, index.data() or "", index.data(Qt.ItemDataRole.TextAlignmentRole))

    def _draw(self, painter: QPainter, area: QRect, text: str, alignment: Qt.AlignmentFlag) -> None:
        short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, alignment | Qt.AlignmentFlag.AlignVCenter, short)
