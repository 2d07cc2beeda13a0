"""The list of repositories: painted rows, no widget each, so that 500 of them scroll smoothly."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui.discover.results_model import RESULT_ROLE, ResultRow, SearchResultsModel, facts
from ui.look.theme import color, text_font, tokens

_ROW_HEIGHT = 64
_LINE_HEIGHTS = (20, 16, 16)
_SETTLE_MS = 250
"""Who runs down the list with the arrow keys asks the hub only for the row on which they stop."""


class ResultList(QListView):
    """One row chosen at a time: by a click or Enter at once, by the arrow keys when they rest."""

    chosen = Signal(str)
    """Repository id"""

    def __init__(self, rows: SearchResultsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(rows)
        self.setAccessibleName("Models on the hub")
        self.setItemDelegate(_RowDelegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._focusing = False
        self._settled = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settled.timeout.connect(self._choose)
        self.selectionModel().currentChanged.connect(self._on_current)
        self.clicked.connect(self._choose)
        rows.modelAboutToBeReset.connect(self._settled.stop)

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid() and not self._focusing:
            self._settled.start()

    def _choose(self) -> None:
        self._settled.stop()
        index = self.currentIndex()
        if index.isValid():
            self.chosen.emit(index.data(RESULT_ROLE).summary.id)

    # Qt overrides

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Qt makes the first row the current one: to pass by with Tab is not to choose it."""
        self._focusing = True
        super().focusInEvent(event)
        self._focusing = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.selectionModel().select(self.currentIndex(), self.selectionModel().SelectionFlag.ClearAndSelect)
            self._choose()
            return
        super().keyPressEvent(event)


class _RowDelegate(QStyledItemDelegate):
    """Three lines: the name, who it is from or why it is suggested, and the figures."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row: ResultRow = index.data(RESULT_ROLE)
        painter.save()
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, color("selected" if selected else "hover"))
        if selected and option.widget is not None and option.widget.hasFocus():
            painter.fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), color("accent"))
        area = option.rect.adjusted(24, 6, -12, -6)
        lines = (
            (row.summary.name, text_font(strong=True), "text"),
            (row.why or row.summary.author, text_font(tokens().size_caption), "text_secondary"),
            (facts(row) or row.summary.author, text_font(tokens().size_caption, tabular=True), "text_secondary"),
        )
        top = area.top()
        for (text, font, tone), height in zip(lines, _LINE_HEIGHTS, strict=True):
            painter.setFont(font)
            painter.setPen(color(tone))
            line = QRect(area.left(), top, area.width(), height)
            top += height
            short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, line.width())
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(200, _ROW_HEIGHT)
