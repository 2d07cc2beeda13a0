"""Between the comparison of a pruned model and the hub: what is looked for, and the sentence about what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.errors import OfflineError
from app.hub.smaller_siblings import SmallerSibling
from app.measure.families import LedgerRow
from ui.before_after import NONE_FOUND, OFFLINE, found_words
from workers.protocol import Failure

if TYPE_CHECKING:
    from ui.main import Program
    from ui.pages.compare_pane import ComparePane


def connect_ready_made(pane: ComparePane, program: Program) -> None:
    """Connect the pane with the hub; once."""
    _ReadyMade(pane, program)


class _ReadyMade(QObject):
    """The slots. Lives as long as the pane."""

    def __init__(self, pane: ComparePane, program: Program) -> None:
        super().__init__(pane)
        self._pane, self._program = pane, program
        pane.ready_made_wanted.connect(self._on_wanted)
        pane.discover_requested.connect(program.show_on_discover)
        program.hub.ready_made.answered.connect(self._on_answered)
        program.hub.ready_made.failed.connect(self._on_failed)

    def _on_wanted(self, row: LedgerRow) -> None:
        """By the name of the repository that the source came from, else by what it is called."""
        source, header = row.source, row.entry.header
        if source is not None and header is not None:
            repository = source.origin.repository.rpartition("/")[2] if source.origin is not None else ""
            self._program.hub.ready_made.look(row.entry.path, repository or source.name, header)

    def _on_answered(self, path: Path, found: SmallerSibling | None) -> None:
        self._pane.show_ready_made(path, found, NONE_FOUND if found is None else found_words(found))

    def _on_failed(self, path: Path, failure: Failure) -> None:
        words = OFFLINE if failure.kind == OfflineError.__name__ else failure.sentence
        self._pane.show_ready_made(path, None, words)
