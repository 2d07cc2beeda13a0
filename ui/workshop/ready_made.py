"""Between the comparison of a pruned model and the hub: what is looked for, and the sentence about what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.fit.budget import memory_budget
from app.fit.smaller_siblings import Siblings, Wanted
from app.measure.families import LedgerRow
from ui.workshop.counterparts import found_words
from workers.protocol import Failure

if TYPE_CHECKING:
    from ui.program import Program
    from ui.workshop.compare_pane import ComparePane


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
        settings = self._program.settings.current
        if row.source is not None:
            wanted = Wanted(row.entry.size_bytes, settings.context_tokens, settings.kv_type, memory_budget())
            self._program.hub.ready_made.look(row.entry.path, row.source, wanted)

    def _on_answered(self, path: Path, found: Siblings) -> None:
        nearest = found.models[0] if found.models else None
        self._pane.show_ready_made(path, nearest, found.sentence if nearest is None else found_words(nearest))

    def _on_failed(self, path: Path, failure: Failure) -> None:
        self._pane.show_ready_made(path, None, failure.sentence)
