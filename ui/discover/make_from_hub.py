"""For original weights on the hub: two buttons that do the whole way to a Q4 or a Q8, each with what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from app.fit.advice import ms_text
from ui.discover.rows import DOWNLOADED, HERE, MAKING, PAUSED, STOPPED, RemoteRow
from ui.look.theme import text_font
from ui.models.make_smaller import Q4, Q8, MakeCard
from ui.words import size

_LEAST, _MOST = 190, 280
_CAN_BEGIN = ("", DOWNLOADED, PAUSED, STOPPED)


@dataclass(frozen=True, slots=True)
class HubOffer:
    """A row for what can be made. `free_bytes` is None where it is not known."""

    row: RemoteRow
    disk_bytes: int = 0
    free_bytes: int | None = None

    @property
    def has_room(self) -> bool:
        return self.free_bytes is None or self.disk_bytes <= self.free_bytes


class MakeFromHub(QWidget):
    """Shown for original weights that can be converted, as far as is known. Announces the type; does nothing itself."""

    requested = Signal(str)
    """The type, as “Q4_K_M”"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.four = _HubCard("a Q4", "Four bits a weight: the usual choice for a laptop")
        self.eight = _HubCard("a Q8", "Eight bits a weight: twice the size, nothing lost that can be noticed")
        self.cards = {Q4: self.four, Q8: self.eight}
        self._chosen, self._is_narrow = Q4, False
        # Its width is what the page gives: where two cards do not stand beside each other, one is hidden.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 4)
        row.setSpacing(24)
        self.four.button.setProperty("role", "primary")
        for kind, card in self.cards.items():
            card.button.clicked.connect(lambda _checked=False, kind=kind: self.requested.emit(kind))
            row.addWidget(card, 1)
        row.addStretch(0)

    def show_offers(self, offers: tuple[HubOffer, ...], chosen: str) -> None:
        """One for each card, in any order; none hides all. `chosen` is the type of the row that is chosen."""
        self._chosen = chosen if chosen in self.cards else Q4
        self.setVisible(bool(offers))
        self._show_cards()
        for offer in offers:
            if (card := self.cards.get(offer.row.type)) is not None:
                card.show_hub_offer(offer)

    def set_narrow(self, is_narrow: bool) -> None:
        """Show the chosen card alone."""
        self._is_narrow = is_narrow
        self._show_cards()

    def _show_cards(self) -> None:
        for kind, card in self.cards.items():
            card.setVisible(not self._is_narrow or kind == self._chosen)


class _HubCard(MakeCard):
    """The words on the button follow what is here already; a third line has the room that is needed."""

    def __init__(self, what: str, tip: str) -> None:
        super().__init__(f"Download and make {what}", tip)
        self._what = what
        self.disk = QLabel()
        self.disk.setProperty("role", "secondary")
        self.disk.setFont(text_font(tabular=True))
        self.layout().addWidget(self.disk)
        for label in (self.size, self.cost, self.disk):
            label.setWordWrap(True)
        self.button.setEnabled(False)  # until it is known what comes of it
        self.setMinimumWidth(_LEAST)
        self.setMaximumWidth(_MOST)
        self.layout().addStretch()

    def show_hub_offer(self, offer: HubOffer) -> None:
        row = offer.row
        here = row.state in (DOWNLOADED, HERE)
        self.button.setText(f"Make {self._what}" if here else f"Download and make {self._what}")
        verdict = row.choice.verdict if row.choice else None
        known = row.made is not None and verdict is not None
        self.button.setEnabled(known and offer.has_room and row.state in _CAN_BEGIN)
        if row.made is None or row.choice is None or verdict is None:
            self.size.setText("Working out the size…" if row.choice is None else " ")
            self.cost.setText(" ")
            self._say_disk(" ")
            return
        self.size.setText(f"{size(row.made.size_bytes)} on disk")
        ms = row.choice.ms_per_token
        speed = "" if ms is None else f", about {ms_text(ms)} a token"
        self.cost.setText(f"{size(verdict.need.resident_bytes)} of memory{speed}")
        self._say_disk(_disk_words(offer), short=row.state in _CAN_BEGIN and not offer.has_room)
        words = ", ".join(label.text() for label in (self.size, self.cost, self.disk))
        self.button.setAccessibleName(f"{self.button.text()}: {words}")

    def _say_disk(self, words: str, *, short: bool = False) -> None:
        self.disk.setText(words)
        role = "danger" if short else "secondary"
        if self.disk.property("role") != role:
            self.disk.setProperty("role", role)
            self.disk.style().polish(self.disk)


def _disk_words(offer: HubOffer) -> str:
    if offer.row.state == HERE:
        return "Made already"
    if offer.row.state == MAKING:
        return "In the list of jobs below"
    if offer.row.state not in _CAN_BEGIN:
        return "After the download that is running"
    needed = f"Needs {size(offer.disk_bytes)} of free disk"
    if not offer.has_room:
        return f"{needed}: only {size(offer.free_bytes or 0)} are free"
    return f"{needed} while it works"
