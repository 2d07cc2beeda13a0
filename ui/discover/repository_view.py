"""One repository: what it is, its files with their verdicts, its card. Renders what it is given and asks no service."""

from __future__ import annotations

from bisect import bisect_right

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.fit.judgement import CONTEXTS
from app.hub.repository import Gate, Repository
from app.units import grouped
from ui.discover.details import RemoteDetails
from ui.discover.search_pane import count
from ui.discover.table import RemoteModelsModel, RemoteModelTable
from ui.errors import BarArea, ErrorBar
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.widgets.empty_state import EmptyState

_NARROW, _NARROW_FACTS = 380, 3
_LEAST_TABLE = 126
"""Pixels: the head and two rows, however much is said of the chosen file."""


class RepositoryView(QWidget):
    """Three faces: nothing chosen, on its way, a repository."""

    page_wanted = Signal()

    def __init__(self, rows: RemoteModelsModel, context_tokens: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.facts = _label("title"), _label("secondary")
        self.table = RemoteModelTable(rows)
        self.table.setMinimumHeight(_LEAST_TABLE)
        self.card = QPlainTextEdit(readOnly=True)
        self.card.setAccessibleName("Model card")
        self.card.setProperty("role", "code")
        self.card.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.context = ContextSlider(context_tokens)
        self.details = RemoteDetails()
        self.access, self.error = AccessBar(), ErrorBar()
        self.access.page_wanted.connect(self.page_wanted)
        self.nothing, self.problem = EmptyState("compass"), EmptyState("file-warning")
        self._faces, self._tabs = QStackedWidget(), QStackedWidget()
        self._facts: list[str] = []
        self._lay_out()
        self.show_nothing()

    def show_nothing(self) -> None:
        """Nothing is chosen."""
        self.nothing.say("Choose a model", "Its files are judged for this computer before you download anything.")
        self._faces.setCurrentIndex(0)

    def show_opening(self, repository_id: str) -> None:
        """It is being asked for."""
        self.error.hide()
        self.nothing.say(repository_id.rpartition("/")[2], "Asking the hub…")
        self._faces.setCurrentIndex(0)

    def show_repository(self, repository: Repository, *, has_token: bool) -> None:
        """Its files; the card comes later."""
        summary = repository.summary
        self.title.setText(summary.name)
        self._facts = _facts(repository)
        self._show_facts()
        self.access.show_gate(summary.gate, has_token=has_token)
        self.card.setPlainText("")
        self.problem.say("Nothing to use here", repository.problem)
        self._files.setCurrentIndex(0 if repository.models else 1)
        self._tab_buttons.button(0).setChecked(True)
        self._on_tab(0)
        self._faces.setCurrentIndex(1)

    def show_card(self, text: str) -> None:
        """The model card as plain text."""
        self.card.setPlainText(text or "The author has written nothing about this model.")

    def ask_for_access(self, gate: Gate, sentence: str) -> None:
        """A download was refused: say why, beside the way in."""
        self.access.show_gate(gate if gate is not Gate.OPEN else Gate.AUTOMATIC, has_token=False)
        self.access.say(sentence)

    def _lay_out(self) -> None:
        face = QWidget()
        column = QVBoxLayout(face)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        column.addWidget(BarArea(self.error, self.access))
        self._files = QStackedWidget()
        self._files.addWidget(_beside_margins(self.table, 16))
        self._files.addWidget(self.problem)
        self._tabs.addWidget(self._files)
        self._tabs.addWidget(_beside_margins(self.card, 20))
        column.addWidget(self._tabs, 1)
        column.addWidget(self.details)
        self._faces.addWidget(self.nothing)
        self._faces.addWidget(face)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._faces)

    def _head(self) -> QVBoxLayout:
        self._tab_buttons = QButtonGroup(self)
        bar = QHBoxLayout()
        bar.setSpacing(4)
        for number, word in enumerate(("Files", "About")):
            button = QPushButton(word)
            button.setCheckable(True)
            button.setProperty("role", "quiet")
            self._tab_buttons.addButton(button, number)
            bar.addWidget(button)
        self._tab_buttons.idClicked.connect(self._on_tab)
        page = QPushButton("Its page")
        page.setProperty("role", "quiet")
        page.setToolTip("Open the model's page in your browser")
        set_icon(page, "external-link", size=16)
        page.clicked.connect(self.page_wanted)
        bar.addWidget(page)
        bar.addStretch()
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 24, 8)
        head.setSpacing(4)
        head.addWidget(self.title)
        head.addWidget(self.facts)
        head.addSpacing(4)
        head.addLayout(bar)
        head.addWidget(self.context)
        return head

    def _show_facts(self) -> None:
        """Show the facts. In a narrow page the first of them: the files need the height of the others more."""
        narrow = self.width() < _NARROW
        self.facts.setText(" · ".join(self._facts[:_NARROW_FACTS] if narrow else self._facts))
        self.facts.setToolTip(" · ".join(self._facts) if narrow else "")

    def _on_tab(self, number: int) -> None:
        self._tabs.setCurrentIndex(number)
        is_files = number == 0 and self._files.currentIndex() == 0
        self.context.setVisible(is_files)
        self.details.setVisible(is_files)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_facts()


def _facts(repository: Repository) -> list[str]:
    summary = repository.summary
    parts = [
        f"by {summary.author}" if summary.author else "",
        f"licence {summary.license}" if summary.license else "no licence named",
        f"{count(summary.downloads)} downloads" if summary.downloads else "",
        f"{count(summary.likes)} likes" if summary.likes else "",
        f"changed {summary.updated}" if summary.updated else "",
        f"made from {repository.base_model}" if repository.base_model else "",
    ]
    return [part for part in parts if part]


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _beside_margins(widget: QWidget, margin: int) -> QWidget:
    """The text of the content stands under the title."""
    place = QWidget()
    column = QVBoxLayout(place)
    column.setContentsMargins(margin, 0, margin, 0)
    column.addWidget(widget)
    return place


# How long a conversation the verdicts are for: a slider over the context lengths that were planned.


_WIDTH, _LEAST_WIDTH = 200, 60


class ContextSlider(QWidget):
    """Announces each length while it is dragged: the verdicts move with it."""

    changed = Signal(int)
    """Tokens"""

    def __init__(self, tokens: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stops: tuple[int, ...] = CONTEXTS
        self._wanted = tokens
        label = QLabel("Context")
        label.setToolTip("How much of a conversation the model sees at once. More takes more memory.")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Context in tokens")
        self.slider.setMinimumWidth(_LEAST_WIDTH)
        self.slider.setMaximumWidth(_WIDTH)
        self.slider.setPageStep(1)
        label.setBuddy(self.slider)
        self.value = QLabel()
        self.value.setFont(text_font(tabular=True))
        self.value.setMinimumWidth(104)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self.slider, 1)
        row.addWidget(self.value)
        row.addStretch()
        self.set_limit(0)
        self.slider.valueChanged.connect(self._on_value)

    @property
    def tokens(self) -> int:
        return self._stops[self.slider.value()]

    def set_limit(self, trained_tokens: int) -> None:
        """No further than the model was trained for; 0 is not known. Says nothing, and keeps what the user wants in
        mind for a model that can have it.
        """
        stops = tuple(stop for stop in CONTEXTS if not trained_tokens or stop <= trained_tokens)
        self._stops = stops or CONTEXTS[:1]
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._stops) - 1)
        self.slider.setValue(max(0, bisect_right(self._stops, self._wanted) - 1))
        self.slider.blockSignals(False)
        self._show()

    def _on_value(self, _value: int) -> None:
        self._wanted = self.tokens
        self._show()
        self.changed.emit(self.tokens)

    def _show(self) -> None:
        self.value.setText(f"{grouped(self.tokens)} tokens")


# The way into a repository whose author asks for permission: open its page, accept, paste a token.


_WORDS = {
    Gate.AUTOMATIC: "The author asks you to accept conditions before downloading. Access is given at once.",
    Gate.MANUAL: "The author asks you to accept conditions, and decides on each request.",
}


class AccessBar(QWidget):
    """Hidden for an open repository."""

    page_wanted = Signal()
    token_given = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setProperty("tone", "warning")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._sign, self.sentence, self.state = QLabel(), QLabel(), QLabel()
        set_icon(self._sign, "lock", "warning")
        for label in (self.sentence, self.state):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.state.setProperty("role", "secondary")
        self.open_page = QPushButton("1. Accept on its page")
        self.open_page.clicked.connect(self.page_wanted)
        self.field = QLineEdit(placeholderText="2. Paste a token (hf_…)")
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setAccessibleName("Access token of your account on the hub")
        self.save = QPushButton("Save")
        self.save.setEnabled(False)
        self.field.textChanged.connect(lambda text: self.save.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._on_save)
        self.save.clicked.connect(self._on_save)
        self._lay_out()
        self.hide()

    def show_gate(self, gate: Gate, *, has_token: bool) -> None:
        """What this repository asks for; nothing where it is open."""
        self.setVisible(gate is not Gate.OPEN)
        self.sentence.setText(_WORDS.get(gate, ""))
        self.say("A token is kept already: if you have accepted the conditions, download." if has_token else "")

    def say(self, sentence: str) -> None:
        """What came of it."""
        self.state.setText(sentence)
        self.state.setVisible(bool(sentence))

    def _on_save(self) -> None:
        token = self.field.text().strip()
        if token:
            self.field.clear()
            self.token_given.emit(token)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.field, 1)
        buttons.addWidget(self.save)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self.sentence)
        column.addWidget(self.open_page, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(buttons)
        column.addWidget(self.state)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 10)
        row.setSpacing(10)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(column, 1)
