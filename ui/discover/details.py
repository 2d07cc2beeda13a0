"""What stands below a repository's files: the sentence about the chosen one, the sum behind it, and the one thing to
do.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.fit.judgement import MemoryBudget
from app.fit.verdict import arithmetic, sentence
from app.hub.repository import ModelFormat
from app.units import grouped
from ui.discover.make_from_hub import HubOffer, MakeFromHub
from ui.discover.table import HERE, PAUSED, STOPPED, RemoteRow
from ui.look.theme import text_font
from ui.widgets.scrolled import HighAsContent
from ui.words import size

_SUM_WIDTH = 380
_TWO_CARDS_WIDTH = 460


class RemoteDetails(QWidget):
    """Shows one RemoteRow; announces what the button is pressed for."""

    pressed = Signal(str)
    """One of the words in `ACTIONS`."""

    ACTIONS = ("Download", "Pause", "Go on", "Try again", "Chat")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence = _label("strong")
        self.note = _label("secondary")
        self.action = QPushButton("Download")
        self.action.setProperty("role", "primary")
        self.action.setMinimumWidth(112)
        self.action.clicked.connect(lambda: self.pressed.emit(self.action.text()))
        self.make = MakeFromHub()
        self.only = QPushButton("Download only")
        self.only.setToolTip(
            "The original weights, as they are: something can be made of them later, on the Models page"
        )
        self.only.clicked.connect(lambda: self.pressed.emit("Download"))
        self.explain = QPushButton("Show the sum")
        self.explain.setProperty("role", "quiet")
        self.explain.setCheckable(True)
        self.explain.toggled.connect(self._on_explain)
        self._sum = QWidget()
        self._sum.setMaximumWidth(_SUM_WIDTH)
        self._sum_grid = QGridLayout(self._sum)
        self._sum_grid.setContentsMargins(0, 0, 0, 0)
        self._sum_grid.setHorizontalSpacing(24)
        self._sum_grid.setVerticalSpacing(2)
        self._sum.hide()
        self._type = ""
        self._offers: tuple[HubOffer, ...] = ()
        self._must_note = False
        self._lay_out()

    def show_row(
        self,
        row: RemoteRow | None,
        budget: MemoryBudget,
        target_ms: float,
        error_text: str,
        offers: tuple[HubOffer, ...] = (),
    ) -> None:
        """Say what is known of this row; None hides all. `offers` are what can be made of original weights."""
        if row is None:
            self.hide()
            return
        judged = row.choice is not None
        self.sentence.setText(sentence(row.choice, budget, target_ms) if row.choice else "Reading its header…")
        self.note.setText(_note(row, error_text))
        self._must_note = bool(row.trouble)
        self.explain.setEnabled(judged and row.choice is not None and row.choice.verdict is not None)
        self._show_sum(row, budget)
        self._type, self._offers = row.type, offers
        self._show_make()
        self._show_buttons(row)
        self._show_note()

    def activate(self) -> None:
        """Enter or a double click on the row: the button that belongs to it."""
        if self.action.isVisibleTo(self):
            self.action.click()
        elif self._type in self.make.cards:
            self.make.cards[self._type].button.click()

    def _show_buttons(self, row: RemoteRow) -> None:
        """Show what can be done. Of original weights the two large buttons come first, and the download alone is a
        plain one.
        """
        original = row.model.format is ModelFormat.SAFETENSORS
        word = _action(row)
        self.action.setText(word)
        self.action.setVisible(not original or word != "Download")
        self.action.setEnabled(bool(row.model.files) and row.state not in _NOT_NOW)
        self.only.setVisible(original and row.state == "")

    def _show_note(self) -> None:
        """Show the note. In a narrow page it gives way to the large buttons and to the sum, unless it says what went
        wrong.
        """
        narrow = self.width() < _TWO_CARDS_WIDTH and not (self.make.isHidden() and self._sum.isHidden())
        self.note.setVisible(bool(self.note.text()) and (self._must_note or not narrow))

    def _on_explain(self, shown: bool) -> None:
        self._sum.setVisible(shown and self.explain.isEnabled())
        self.explain.setText("Hide the sum" if shown else "Show the sum")
        self._show_make()
        self._show_note()

    def _show_make(self) -> None:
        """The sum stands in the place of the large buttons: a small window has no room for both."""
        self.make.show_offers(() if self.explain.isChecked() and self.explain.isEnabled() else self._offers, self._type)

    def _show_sum(self, row: RemoteRow, budget: MemoryBudget) -> None:
        while self._sum_grid.count():
            item = self._sum_grid.takeAt(0)
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        verdict = row.choice.verdict if row.choice else None
        if verdict is None:
            self._sum.hide()
            return
        for number, (what, count) in enumerate(arithmetic(verdict, budget)):
            figure = _label("")
            figure.setText(size(count))
            figure.setFont(text_font(tabular=True, strong=what == "Needed in all"))
            figure.setAlignment(Qt.AlignmentFlag.AlignRight)
            word = _label("" if what == "Needed in all" else "secondary")
            word.setText(what)
            self._sum_grid.addWidget(word, number, 0)
            self._sum_grid.addWidget(figure, number, 1)
        self._sum_grid.setColumnStretch(0, 1)
        self._sum.setVisible(self.explain.isChecked())

    def _lay_out(self) -> None:
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        buttons = QHBoxLayout()
        buttons.setContentsMargins(24, 8, 24, 16)
        buttons.setSpacing(8)
        buttons.addWidget(self.action)
        buttons.addWidget(self.only)
        buttons.addWidget(self.explain)
        buttons.addStretch()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(24, 12, 24, 0)
        column.setSpacing(8)
        for widget in (self.sentence, self.note, self._sum, self.make):
            column.addWidget(widget)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(line)
        whole.addWidget(HighAsContent(content))  # where the page is low it scrolls, and the buttons stay
        whole.addLayout(buttons)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.make.set_narrow(self.width() < _TWO_CARDS_WIDTH)
        self._show_note()


_NOT_NOW = ("pausing", "cancelling")
_WORDS = {"downloading": "Pause", "waiting": "Pause", PAUSED: "Go on", "pausing": "Go on", STOPPED: "Try again"}


def _action(row: RemoteRow) -> str:
    if row.state == HERE:
        return "Chat"
    return _WORDS.get(row.state, "Download")


def _note(row: RemoteRow, error_text: str) -> str:
    if row.trouble:
        return f"The download stopped. {row.trouble}"
    verdict = row.choice.verdict if row.choice else None
    if verdict is None:
        return ""
    parts = []
    largest = verdict.largest_context_now
    parts.append(f"Longest context that fits now: {grouped(largest)} tokens." if largest else "No context fits now.")
    if error_text and row.choice is not None and row.choice.ms_per_token is not None:
        parts.append(error_text)
    return " ".join(parts)


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    if role:
        label.setProperty("role", role)
    return label
