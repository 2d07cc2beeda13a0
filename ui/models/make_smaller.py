"""Two buttons that make a model smaller, each with what comes of it: size, memory, speed. "More…" has the rest."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.fit.verdict import ms_text
from app.library.library import ModelEntry
from app.quantize.messages import Offer, Offers, Quantize
from app.quantize.outputs import default_output
from ui.look.theme import text_font
from ui.words import size, time_left

Q4, Q8 = "Q4_K_M", "Q8_0"
SHOWN = (Q4, Q8)
_FOUR_TIP = "Four bits a weight: the usual choice for a laptop"
_LEAST, _MOST = 176, 280
CALIBRATION_LIMIT_S = 300
"""An importance matrix that takes no longer is part of the Q4 button; beyond it is a choice behind "More…"."""


class MakeSmaller(QWidget):
    """Shown for what is not quantized yet. Asks for offers and announces requests; does nothing itself."""

    offers_wanted = Signal(ModelEntry)
    """ModelEntry whose offers are to be shown"""
    requested = Signal(tuple)
    """tuple of Quantize"""
    more_requested = Signal(ModelEntry)
    """ModelEntry"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: ModelEntry | None = None
        self._offers: Offers | None = None
        self.four = MakeCard("Make a Q4", _FOUR_TIP)
        self.eight = MakeCard("Make a Q8", "Eight bits a weight: twice the size, nothing lost that can be noticed")
        self.cards = {Q4: self.four, Q8: self.eight}
        for kind, card in self.cards.items():
            card.button.clicked.connect(lambda _checked=False, kind=kind: self._on_clicked(kind))
        self.more = QPushButton("More…")
        self.more.setProperty("role", "quiet")
        self.more.setToolTip("Every type, importance matrix, best rounding")
        self.more.clicked.connect(lambda: self.more_requested.emit(self._entry))
        self.trouble = QLabel()
        self.trouble.setProperty("role", "danger")
        self.trouble.setWordWrap(True)
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self._lay_out()
        self.show_entry(None)

    def show_entry(self, entry: ModelEntry | None) -> None:
        """Show the buttons for this row, and ask for its offers if they are not here."""
        possible = entry is not None and entry.can_quantize
        changed = entry is None or self._entry is None or entry.path != self._entry.path
        self._entry = entry if possible else None
        self.setVisible(possible)
        if entry is not None and possible and changed:
            self._offers = None
            self.trouble.hide()
            for card in self.cards.values():
                card.wait()
            self.offers_wanted.emit(entry)
        elif possible and self._offers is not None:
            self.show_offers(self._offers)

    def show_offers(self, offers: Offers) -> None:
        """Show what would come of it; of another row than the one shown they count for nothing."""
        if self._entry is None or offers.source != self._entry.path:
            return
        self._offers = offers
        self.four.button.setToolTip(_FOUR_TIP + (calibration_words(offers) if calibrates(offers) else ""))
        for offer in offers.offers:
            if (card := self.cards.get(offer.type)) is not None:
                card.show_offer(offer, default_output(self._entry.path, offer.type).exists())

    def refuse(self, source: Path, sentence: str) -> None:
        """Nothing can be made of it: say why."""
        if self._entry is None or source != self._entry.path:
            return
        for card in self.cards.values():
            card.refuse()
        self.trouble.setText(sentence)
        self.trouble.show()

    def _on_clicked(self, kind: str) -> None:
        assert self._entry is not None
        source = self._entry.path
        calibrate = kind == Q4 and self._offers is not None and calibrates(self._offers)
        self.requested.emit((Quantize(source, default_output(source, kind), kind, calibrate=calibrate),))
        self.cards[kind].begin()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(self.four, 1)
        row.addWidget(self.eight, 1)
        row.addWidget(self.more, 0, Qt.AlignmentFlag.AlignTop)
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.setSpacing(6)
        column.addLayout(row)
        column.addWidget(self.trouble)


class MakeCard(QWidget):
    """A button, and below it two lines of what it will make."""

    def __init__(self, words: str, tip: str) -> None:
        super().__init__()
        self.button = QPushButton(words)
        self.button.setMinimumHeight(40)
        self.button.setToolTip(tip)
        self.size_line, self.cost = QLabel(), QLabel()
        self.size_line.setProperty("role", "strong")
        self.cost.setProperty("role", "secondary")
        for label in (self.size_line, self.cost):
            label.setFont(text_font(tabular=True))
            label.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.button, self.size_line, self.cost):
            column.addWidget(widget)
        self.setMinimumWidth(_LEAST)
        self.setMaximumWidth(_MOST)

    def wait(self) -> None:
        self.button.setEnabled(False)
        self.size_line.setText("Working out the size…")
        self.cost.setText(" ")

    def begin(self) -> None:
        """It was clicked: the strip shows the rest."""
        self.button.setEnabled(False)
        self.cost.setText("In the list of jobs below")

    def refuse(self) -> None:
        self.button.setEnabled(False)
        self.size_line.setText(" ")
        self.cost.setText(" ")

    def show_offer(self, offer: Offer, exists: bool) -> None:
        self.button.setEnabled(not exists)
        self.size_line.setText(f"{size(offer.size_bytes)} on disk" + (", made already" if exists else ""))
        self.cost.setText(cost_words(offer))
        self.button.setAccessibleName(f"{self.button.text()}: {self.size_line.text()}, {self.cost.text()}")


def calibrates(offers: Offers) -> bool:
    """Whether a Q4 is made with an importance matrix: where the time that it takes is known and short."""
    return 0 < offers.calibration_seconds <= CALIBRATION_LIMIT_S


def calibration_words(offers: Offers) -> str:
    """The words for the end of a tool tip."""
    return f".\nFirst a look at which weights matter (importance matrix): {time_left(offers.calibration_seconds)}"


def cost_words(offer: Offer) -> str:
    """ "6.1 GB of memory, about 140 ms a token"."""
    words = f"{size(offer.need.resident_bytes)} of memory"
    return words if offer.ms_per_token is None else f"{words}, about {ms_text(offer.ms_per_token)} a token"
