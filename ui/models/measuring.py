"""What "Measure what it cost" sets off: a job for each model, and what comes of it in the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.library.library import ModelEntry
from app.measure.families import families, reference_for
from app.measure.messages import MeasureQuality, Quality
from app.system.paths import Paths
from ui.models.ledger_words import summary
from workers.jobs import Job, JobState, JobStatus

if TYPE_CHECKING:
    from ui.program import Program


class Measuring(QObject):
    """The slots. Lives as long as the program; asks for the job queue when it is first needed.

    The child that measures writes the ledger itself; here it is only read again.
    """

    def __init__(self, program: Program, paths: Paths) -> None:
        super().__init__(program)
        self._program, self._paths = program, paths
        self._listens = False

    def measure(self, entries: Sequence[ModelEntry]) -> None:
        """Measure these, one after the other. What is being measured already is left out, and that is said."""
        jobs = self._program.hub.jobs
        if not self._listens:
            self._listens = True
            jobs.ended.connect(self._on_ended)
        found = families(self._program.models.entries, self._program.models.figures)
        busy = {request.model for status in jobs.jobs for request in _requests(status)}
        for entry in entries:
            if entry.path in busy:
                self._program.window.notice.show_notice(f"{entry.path.name} is being measured already.")
                continue
            request = MeasureQuality(entry.path, reference_for(entry.path, found), speed=True)
            jobs.add(Job(f"Measuring {entry.path.name}", (request,), self._parts(request)))

    def _parts(self, request: MeasureQuality) -> tuple[Path, ...]:
        if request.reference is None or request.reference.suffix.lower() == ".gguf":
            return ()
        copy = self._paths.reference_copy(request.reference)
        return (copy, copy.with_name(copy.name + ".part"))

    def _on_ended(self, status: JobStatus) -> None:
        result = status.result
        if status.state is not JobState.DONE or not isinstance(result, Quality):
            return
        if status.id in self._program.told_by_pages:
            return
        program = self._program
        program.models_page.read_figures()
        program.window.notice.show_notice(summary(result), "Chat", lambda: program.chat_with(result.path))


def _requests(status: JobStatus) -> list[MeasureQuality]:
    return [request for request in status.job.requests if isinstance(request, MeasureQuality)]
