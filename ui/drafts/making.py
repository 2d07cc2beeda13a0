"""What "Make a draft…" sets off: the dialog, plans from a child, one job, and what it gained in the end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from app.drafts.messages import DraftMade, DraftsPlanned, MakeDraft
from app.drafts.names import workspace
from app.engine.draft_messages import PAYS_FROM
from app.library.library import ModelEntry
from app.measure.families import families
from ui.drafts.dialog import DraftDialog
from ui.drafts.words import made_words, notice_of
from ui.words import KEPT
from workers.jobs import FINAL_JOB_STATES, Job, JobState, JobStatus

if TYPE_CHECKING:
    from pathlib import Path

    from ui.program import Program


_USUAL = "Q4_K_M"


class DraftMaking(QObject):
    """The slots. Lives as long as the program."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._program = program
        self._dialog: DraftDialog | None = None
        self._running: set[int] = set()
        hub = program.hub
        hub.recipes.drafts_planned.connect(self._on_planned)
        hub.recipes.drafts_refused.connect(self._on_refused)
        hub.jobs.ended.connect(self._on_ended)

    def open(self, entry: ModelEntry) -> DraftDialog:
        """Show the dialog for this folder of original weights."""
        self._dialog = DraftDialog(entry, self._targets(entry), self._program.window)
        self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dialog.plan_wanted.connect(self._program.hub.recipes.drafts)
        self._dialog.requested.connect(self._on_requested)
        self._dialog.finished.connect(self._on_closed)
        self._dialog.begin()
        self._dialog.open()
        return self._dialog

    def _targets(self, entry: ModelEntry) -> list[ModelEntry]:
        """The files that were made of this folder, nothing taken away: the one in memory first, then the usual type."""
        found = families(self._program.models.entries, {})
        family = next((one for one in found if one.source.entry.path == entry.path), None)
        rows = family.variants if family is not None else ()
        usable = [row.entry for row in rows if row.entry.can_load and not row.entry.is_altered]
        loaded = self._program.models.loaded
        return sorted(usable, key=lambda one: (one.path != loaded, one.header.quantization != _USUAL, one.size_bytes))

    def _on_planned(self, plan: DraftsPlanned) -> None:
        if self._dialog is not None:
            self._dialog.show_plan(plan)

    def _on_refused(self, source: Path, sentence: str) -> None:
        if self._dialog is not None and self._dialog.request().source == source:
            self._dialog.refuse(sentence)

    def _on_closed(self) -> None:
        self._dialog = None

    def _on_requested(self, request: MakeDraft) -> None:
        jobs = self._program.hub.jobs
        self._running.add(jobs.next_id)
        self._program.told_by_pages.add(jobs.next_id)
        part = request.output.with_name(f"{request.output.name}.part")
        jobs.add(Job(f"Making {request.output.name}", (request,), (part,), (workspace(request),)))

    def _on_ended(self, status: JobStatus) -> None:
        if status.id not in self._running or status.state not in FINAL_JOB_STATES:
            return
        self._running.discard(status.id)
        window = self._program.window
        self._program.models_page.refresh()
        if status.state is JobState.DONE and isinstance(status.result, DraftMade):
            window.notice.show_notice(notice_of(_request(status).target.name, made_words(status.result, PAYS_FROM)))
        elif status.failure is not None:
            hint = f"{status.failure.hint} {KEPT}".strip()
            window.show_failure(dataclasses.replace(status.failure, hint=hint))
            window.error.add_button("Run again", lambda: self._on_requested(_request(status)))


def _request(status: JobStatus) -> MakeDraft:
    (request,) = status.job.requests
    assert isinstance(request, MakeDraft)
    return request
