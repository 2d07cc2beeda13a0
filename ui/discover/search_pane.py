"""The left of the Discover page: the field, what narrows the search, the results, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.hub.endpoint import Hub
from app.hub.repository import ModelFormat, SearchQuery, SortBy
from ui.discover.result_list import ResultList
from ui.discover.results_model import ResultRow, SearchResultsModel
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
        """Before anything is searched: good first models."""
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
        column.addLayout(head)
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

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Beside each other the words of the choices would be cut in a narrow pane."""
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
