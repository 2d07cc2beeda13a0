"""The left of the Discover page: the field, what narrows the search, the results, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.hub.repository import Gate, ModelFormat, RepositorySummary, SearchQuery, SortBy
from app.hub.transport import Hub
from ui.look.theme import color, text_font, tokens
from workers.protocol import Failure

WIDTH, LEAST_WIDTH = 344, 232
_FILTERS_BESIDE = 280
_FORMATS = {"To chat": ModelFormat.GGUF, "Originals": ModelFormat.SAFETENSORS, "Both": None}
_SORTS = {
    "Downloads": SortBy.DOWNLOADS,
    "Likes": SortBy.LIKES,
    "Newest": SortBy.RECENT,
    "Popular": SortBy.TRENDING,
}


class SearchPane(QWidget):
    """Announces what is looked for; renders what it is told."""

    changed = Signal()
    """Another text or filter: worth a search when the typing pauses."""
    confirmed = Signal()
    """Enter, or “Browse all”: search at once."""
    chosen = Signal(str)
    """Repository id"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(WIDTH)
        self.results = SearchResultsModel(self)
        self.wants_all = self.shows_first = False
        self.field = QLineEdit(placeholderText="Search, or paste a model’s address", clearButtonEnabled=True)
        self.field.setAccessibleName("Search the Hugging Face Hub")
        self.field.setAccessibleDescription("Words of the name; “author:name” narrows it to one author.")
        self.field.setToolTip("Words of the name; “author:name” narrows it to one author.")
        self.format, self.sort = _choices("Kind of files", _FORMATS), _choices("Order", _SORTS)
        self.list = ResultList(self.results)
        self.heading, self.state = _label("strong"), _label("secondary")
        self.again = QPushButton("Try again")
        self.browse = QPushButton("Browse all models")
        self.browse.setProperty("role", "quiet")
        self._lay_out()
        self._connect()
        self.show_mirror(Hub())

    def query(self) -> SearchQuery:
        """What is looked for. “author:name” among the words is the author."""
        words = self.field.text().split()
        authors = [word.partition(":")[2] for word in words if word.lower().startswith("author:")]
        text = " ".join(word for word in words if not word.lower().startswith("author:"))
        author = authors[-1] if authors else ""
        return SearchQuery(text, author, _FORMATS[self.format.currentText()], _SORTS[self.sort.currentText()])

    def show_first(self, rows: Sequence[ResultRow]) -> None:
        """Show what stands there before anything is searched: good first models."""
        self.shows_first = True
        self.results.replace(rows)
        self.heading.setText("Good first models for this computer")
        self._say("", again=False)
        self.browse.show()

    def show_busy(self) -> None:
        """A search is on its way; what was there stays until it is answered."""
        self.shows_first = False
        self._say("Searching…", again=False)
        self.browse.hide()

    def show_ended(self, has_more: bool) -> None:
        """A page of results is complete."""
        self.heading.setText("On the hub")
        self.results.set_has_more(has_more)
        nothing = not self.results.rows
        self._say("Nothing found. Try fewer words, or “Both” kinds of files." if nothing else "", again=False)

    def show_failure(self, failure: Failure, *, offline: bool) -> None:
        """The search did not work; offline is said calmly."""
        sentence = "You are offline. Models on this computer work as always." if offline else failure.sentence
        self._say(sentence if offline else f"{sentence} {failure.hint}".strip(), again=True)

    def show_mirror(self, hub: Hub) -> None:
        """The line at the bottom where another hub than the usual one is in force."""
        self.mirror.setText(hub.warning or (f"Mirror: {hub.host}" if hub.endpoint != Hub().endpoint else ""))
        self.mirror.setProperty("role", "warning" if hub.warning else "caption")
        self.mirror.style().polish(self.mirror)
        self.mirror.setVisible(bool(self.mirror.text()))

    def _say(self, text: str, *, again: bool) -> None:
        self.state.setText(text)
        self._state_row.setVisible(bool(text))
        self.again.setVisible(again)

    def _on_browse(self) -> None:
        self.wants_all = True
        self.confirmed.emit()

    def _on_text(self) -> None:
        if not self.field.text().strip():
            self.wants_all = False
        self.changed.emit()

    def _connect(self) -> None:
        self.field.textChanged.connect(lambda _text: self._on_text())
        self.field.returnPressed.connect(self.confirmed)
        self.format.activated.connect(lambda _index: self.changed.emit())
        self.sort.activated.connect(lambda _index: self.changed.emit())
        self.again.clicked.connect(self.confirmed)
        self.browse.clicked.connect(self._on_browse)
        self.list.chosen.connect(self.chosen)

    def _lay_out(self) -> None:
        self._state_row = QWidget()
        state = QVBoxLayout(self._state_row)
        state.setContentsMargins(24, 4, 12, 8)
        state.setSpacing(8)
        state.addWidget(self.state)
        state.addWidget(self.again, 0, Qt.AlignmentFlag.AlignLeft)
        foot = QVBoxLayout()
        foot.setContentsMargins(24, 4, 12, 12)
        foot.setSpacing(4)
        self.mirror = _label("caption")
        foot.addWidget(self.browse, 0, Qt.AlignmentFlag.AlignLeft)
        foot.addWidget(self.mirror)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addLayout(self._head())
        column.addWidget(self._state_row)
        column.addWidget(self.list, 1)
        column.addLayout(foot)
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedWidth(1)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(column, 1)
        whole.addWidget(line)

    def _head(self) -> QVBoxLayout:
        title = _label("title")
        title.setText("Discover")
        filters = self._filters = QHBoxLayout()
        filters.setSpacing(8)
        filters.addWidget(self.format, 1)
        filters.addWidget(self.sort, 1)
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 12, 8)
        head.setSpacing(8)
        for widget in (title, self.field):
            head.addWidget(widget)
        head.addLayout(filters)
        head.addSpacing(4)
        head.addWidget(self.heading)
        return head

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the choices out anew. Beside each other the words of the choices would be cut in a narrow pane."""
        super().resizeEvent(event)
        beside = event.size().width() >= _FILTERS_BESIDE
        way = QHBoxLayout.Direction.LeftToRight if beside else QHBoxLayout.Direction.TopToBottom
        self._filters.setDirection(way)


def _choices(name: str, words: dict) -> QComboBox:
    box = QComboBox()
    box.addItems(list(words))
    box.setAccessibleName(name)
    box.setToolTip(name)
    return box


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label


# The list of repositories: painted rows, no widget each, so that 500 of them scroll smoothly.


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


# Repositories as rows, from a search that grows while one scrolls. RESULT_ROLE returns the row's ResultRow.


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
