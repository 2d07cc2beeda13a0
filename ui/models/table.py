"""The table of models, a tree where one was made of another. Its first column has two lines: the name, and what is
wrong or the file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QPointF, QRect, QSize, Qt, QTimer
from PySide6.QtGui import QCursor, QPainter, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from app.library.library import ModelEntry
from ui.look.theme import color, text_font, tokens
from ui.models.ledger_model import CAPTION_ROLE, NAME_ROLE, LedgerColumn, LedgerFilter, LedgerModel
from ui.models.models_model import ENTRY_ROLE, LOADED_ROLE

_ROW_HEIGHT = 48
_INDENT = 20
_WIDTHS = {
    LedgerColumn.RECIPE: 136,
    LedgerColumn.SIZE: 76,
    LedgerColumn.MEMORY: 76,
    LedgerColumn.SPEED: 80,
    LedgerColumn.FIRST_TOKEN: 88,
    LedgerColumn.KL: 76,
    LedgerColumn.TOP_1: 72,
}
_LEAST_NAME = 240
_LEAST_NEEDED_FIRST = (
    LedgerColumn.FIRST_TOKEN,
    LedgerColumn.TOP_1,
    LedgerColumn.MEMORY,
    LedgerColumn.RECIPE,
    LedgerColumn.KL,
    LedgerColumn.SPEED,
)
_Index = QModelIndex | QPersistentModelIndex


class ModelTable(QTreeView):
    """One row selected at a time; sorted by a click on a title. Sources are open until the user closes them."""

    def __init__(
        self,
        rows: LedgerFilter,
        parent: QWidget | None = None,
        *,
        least_name: int = _LEAST_NAME,
        least_needed_first: tuple[LedgerColumn, ...] = _LEAST_NEEDED_FIRST,
    ) -> None:
        super().__init__(parent)
        self._least_name, self._least_needed_first = least_name, least_needed_first
        self._closed: set[Path] = set()
        self.setModel(rows)
        self.setAccessibleName("Models on this computer")
        self.setIndentation(_INDENT)
        self.setExpandsOnDoubleClick(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setSortingEnabled(True)
        self.sortByColumn(LedgerColumn.NAME, Qt.SortOrder.AscendingOrder)
        self.setItemDelegate(_CellDelegate(self))
        self.setHorizontalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QTreeView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.collapsed.connect(lambda index: self._closed.add(index.data(ENTRY_ROLE).path))
        self.expanded.connect(lambda index: self._closed.discard(index.data(ENTRY_ROLE).path))
        rows.modelReset.connect(self.open_sources)
        rows.layoutChanged.connect(self.open_sources)
        rows.rowsInserted.connect(lambda *_: self.open_sources())
        self._size_columns()
        self.open_sources()

    def open_sources(self) -> None:
        """Show what stands under each source, but where the user has closed it."""
        rows = cast(LedgerFilter, self.model())
        tree = cast(LedgerModel, rows.sourceModel())
        self.setRootIsDecorated(tree.has_variants)
        for number in range(rows.rowCount()):
            index = rows.index(number, 0)
            if rows.hasChildren(index) and index.data(ENTRY_ROLE).path not in self._closed:
                self.setExpanded(index, True)

    def _hide_what_does_not_fit(self) -> None:
        """Where the table is narrow the name keeps its room; the details below say what is hidden."""
        room = self.viewport().width() - self._least_name - sum(_WIDTHS.values())
        for column in self._least_needed_first:
            self.setColumnHidden(column, room < 0)
            room += _WIDTHS[column] if room < 0 else 0

    def _size_columns(self) -> None:
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(56)
        header.setSectionResizeMode(LedgerColumn.NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in _WIDTHS.items():
            header.resizeSection(column, width)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_what_does_not_fit()
        if event.size().height() < event.oldSize().height():  # more is told below it, perhaps of this very row
            QTimer.singleShot(0, self, lambda: self.scrollTo(self.currentIndex()))

    def drawBranches(self, painter: QPainter, area: QRect, index: QModelIndex | QPersistentModelIndex) -> None:
        """The surface of the row goes on to the left of its first cell; a chevron opens and closes it."""
        if self.selectionModel().isSelected(index):
            painter.fillRect(area, color("selected"))
        elif (
            self.viewport().underMouse()
            and self.indexAt(self.viewport().mapFromGlobal(QCursor.pos())).siblingAtColumn(0) == index
        ):
            painter.fillRect(area, color("hover"))
        if not self.model().hasChildren(index):
            return
        middle = QPointF(area.right() - _INDENT / 2 + 2, area.center().y() + 0.5)
        corners = ((-4, -2), (0, 2), (4, -2)) if self.isExpanded(index) else ((-2, -4), (2, 0), (-2, 4))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("text_secondary"), 1.5, c=Qt.PenCapStyle.RoundCap, j=Qt.PenJoinStyle.RoundJoin))
        painter.drawPolyline(QPolygonF([middle + QPointF(x, y) for x, y in corners]))
        painter.restore()


class _CellDelegate(QStyledItemDelegate):
    """Paints a row as one surface where it is selected or pointed at, and the focus ring around it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        painter.save()
        self._paint_surface(painter, option, index)
        area = option.rect.adjusted(8, 4, -8, -4)
        if index.column() == LedgerColumn.NAME:
            self._paint_name(painter, area, index)
        else:
            self._paint_text(painter, area, index)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(80, _ROW_HEIGHT)

    def _paint_surface(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.fillRect(option.rect, color("selected"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, color("hover"))
        if selected and index.column() == LedgerColumn.NAME and option.widget is not None and option.widget.hasFocus():
            edge = QRect(option.rect.left(), option.rect.top(), 3, option.rect.height())
            painter.fillRect(edge, color("accent"))

    def _paint_name(self, painter: QPainter, area: QRect, index: _Index) -> None:
        entry: ModelEntry = index.data(ENTRY_ROLE)
        upper = QRect(area.left(), area.top(), area.width(), area.height() // 2)
        lower = QRect(area.left(), upper.bottom() + 1, area.width(), area.height() // 2)
        mark = 0
        if index.data(LOADED_ROLE):
            mark = self._paint_loaded(painter, upper)
        painter.setFont(text_font(strong=True))
        painter.setPen(color("text_secondary" if entry.problem else "text"))
        self._draw(painter, upper.adjusted(0, 0, -mark, 0), index.data(NAME_ROLE), Qt.AlignmentFlag.AlignLeft)
        painter.setFont(text_font(tokens().size_caption))
        painter.setPen(color("danger" if entry.problem else "text_secondary"))
        self._draw(painter, lower, index.data(CAPTION_ROLE), Qt.AlignmentFlag.AlignLeft)

    def _paint_loaded(self, painter: QPainter, area: QRect) -> int:
        painter.setFont(text_font(tokens().size_caption, strong=True))
        painter.setPen(color("accent"))
        painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "loaded")
        return painter.fontMetrics().horizontalAdvance("loaded") + 12

    def _paint_text(self, painter: QPainter, area: QRect, index: _Index) -> None:
        painter.setFont(text_font(tabular=True))
        entry: ModelEntry = index.data(ENTRY_ROLE)
        painter.setPen(color("text_secondary" if entry.problem else "text"))
        self._draw(painter, area, index.data() or "", index.data(Qt.ItemDataRole.TextAlignmentRole))

    def _draw(self, painter: QPainter, area: QRect, text: str, alignment: Qt.AlignmentFlag) -> None:
        short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, alignment | Qt.AlignmentFlag.AlignVCenter, short)
