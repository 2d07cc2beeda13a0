"""What stands with original weights on the hub: two buttons that do the whole way to a Q4 or a Q8, each with what comes
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from app.fit.judgement import MADE_TYPES, Made
from app.fit.verdict import ms_text
from app.hub.download import needed_bytes
from app.hub.messages import DownloadPlan
from app.hub.plan import make_plan
from app.hub.repository import ModelFormat, RemoteFile, RemoteModel, Repository
from app.quantize.outputs import output_in
from app.system.files import SPARE_BYTES, free_bytes
from ui.discover.table import DOWNLOADED, HERE, MAKING, PAUSED, STOPPED, RemoteRow
from ui.look.theme import text_font
from ui.models.make_smaller import Q4, Q8, MakeCard
from ui.words import size
from workers.downloads import DownloadState, DownloadStatus

if TYPE_CHECKING:
    from workers.downloads import Downloads
    from workers.hub_builds import Makings


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
        for label in (self.size_line, self.cost, self.disk):
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
            self.size_line.setText("Working out the size…" if row.choice is None else " ")
            self.cost.setText(" ")
            self._say_disk(" ")
            return
        self.size_line.setText(f"{size(row.made.size_bytes)} on disk")
        ms = row.choice.ms_per_token
        speed = "" if ms is None else f", about {ms_text(ms)} a token"
        self.cost.setText(f"{size(verdict.need.resident_bytes)} of memory{speed}")
        self._say_disk(_disk_words(offer), short=row.state in _CAN_BEGIN and not offer.has_room)
        words = ", ".join(label.text() for label in (self.size_line, self.cost, self.disk))
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


# What of a repository is on this disk, on its way here, or being made of it: the state of each row in a word.


STATE_WORDS = {
    DownloadState.QUEUED: "waiting",
    DownloadState.RUNNING: "downloading",
    DownloadState.PAUSING: "pausing",
    DownloadState.PAUSED: "paused",
    DownloadState.FAILED: STOPPED,
    DownloadState.CANCELLING: "cancelling",
}


class Presence:
    """The state of one repository at a time. `look` asks the disk; nothing else does, but for the free room."""

    def __init__(self, downloads: Downloads, makings: Makings, models: Path) -> None:
        self._downloads, self._makings, self._models = downloads, makings, models
        self._repository: Repository | None = None
        self._missing: dict[str, tuple[RemoteFile, ...]] = {}
        self._made: frozenset[str] = frozenset()
        self.free: Callable[[Path], int | None] = free_bytes

    @property
    def folder(self) -> Path:
        """Where the repository's files are or will be."""
        assert self._repository is not None
        return self._models / self._repository.id

    def look(self, repository: Repository | None) -> None:
        """Which files are there whole, and what was made. Not asked at each step of the slider."""
        self._repository = repository
        models = repository.models if repository is not None else ()
        self._missing = {m.key: tuple(file for file in m.files if not self._is_here(file)) for m in models}
        made = (kind for kind in MADE_TYPES if repository is not None and output_in(self.folder, kind).exists())
        self._made = frozenset(made)

    def state(self, model: RemoteModel, kind: str) -> str:
        """The state of a file, or of what would be made in that type; "" where nothing is done with it."""
        original = model.format is ModelFormat.SAFETENSORS
        if original and kind in self._made:
            return HERE
        if original and kind in self._makings.types_in_work(self.folder):
            return MAKING
        status = self.status(model)
        if status is not None:
            return STATE_WORDS[status.state]
        if original and self._makings.is_downloading(self.folder):
            return STATE_WORDS[DownloadState.RUNNING]
        return "" if self._missing.get(model.key, model.files) else DOWNLOADED if original else HERE

    def trouble(self, model: RemoteModel) -> str:
        """Why its download has stopped; "" otherwise."""
        status = self.status(model)
        failure = status.failure if status is not None and status.state is DownloadState.FAILED else None
        return f"{failure.sentence} {failure.hint}".strip() if failure else ""

    def status(self, model: RemoteModel) -> DownloadStatus | None:
        """Its download, if there is one."""
        for status in self._downloads.statuses:
            same = self._repository is not None and status.plan.repository == self._repository.id
            if same and [f.path for f in status.plan.files] == [f.path for f in model.files]:
                return status
        return None

    def file(self, model: RemoteModel, kind: str) -> Path:
        """What can be chatted with."""
        return output_in(self.folder, kind) if kind else self.folder / model.key

    def plan(self, endpoint: str, model: RemoteModel, made: Made | None = None) -> DownloadPlan:
        """The download, with the room for what is made of it."""
        assert self._repository is not None
        return make_plan(endpoint, self._repository, model, self._models, made.working_bytes if made else None)

    def disk(self, model: RemoteModel, made: Made) -> tuple[int, int | None]:
        """Bytes that the disk must still take for download, 16-bit file and result; and what is free for them."""
        needed = needed_bytes(self.plan("", model, made), self._missing.get(model.key, model.files))
        free = self.free(self.folder)
        return needed, None if free is None else max(0, free - SPARE_BYTES)

    def _is_here(self, file: RemoteFile) -> bool:
        try:
            return (self.folder / file.path).stat().st_size == file.size_bytes
        except OSError:
            return False
