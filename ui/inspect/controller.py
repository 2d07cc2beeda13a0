"""What "Look inside…" sets off: a window about one model, a child that reads it, a job that measures types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from app.inspect.messages import Inside, LookAtTensor, LookInside, SuggestTypes, TensorLook, TypesSuggested, workspace
from app.library.library import ModelEntry
from app.operation import Progress
from workers.jobs import Job, JobState, JobStatus

if TYPE_CHECKING:
    from ui.errors import NoticeBar
    from ui.inspect.window import InsideWindow
    from ui.models.page import ModelsPage
    from ui.models.quantizing import Quantizing
    from workers.services import Services


def connect_inside(page: ModelsPage, services: Services, notice: NoticeBar, quantizing: Quantizing) -> None:
    """Connect the page's button with the services; once."""
    page.details.inside_requested.connect(Inspection(page, services, notice, quantizing).open)


class Inspection(QObject):
    """One window at a time. A measurement goes on when the window is closed, and is found again by the next one."""

    def __init__(self, page: ModelsPage, services: Services, notice: NoticeBar, quantizing: Quantizing) -> None:
        super().__init__(page)
        self._page, self._services, self._notice, self._quantizing = page, services, notice, quantizing
        self.window: InsideWindow | None = None
        self._entry: ModelEntry | None = None
        self._found: dict[object, TypesSuggested] = {}
        self._listens = False

    def open(self, entry: ModelEntry) -> None:
        """Show the inside of this model."""
        from ui.inspect.window import InsideWindow

        self._listen()
        if self.window is not None:
            self.window.close()
        window = InsideWindow(entry, self._page.window())
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.asked.connect(self._services.hub.inside.ask)
        window.suggestion_requested.connect(self._measure)
        window.cancel_requested.connect(self._cancel)
        window.use_requested.connect(self._use)
        window.destroyed.connect(lambda: self._on_closed(window))
        self.window, self._entry = window, entry
        if (found := self._found.get(entry.path)) is not None:
            window.show_suggestion(found)
        if (status := self._status()) is not None:
            self._on_changed(status)
        window.begin()
        window.show()

    def _listen(self) -> None:
        if self._listens:
            return
        self._listens = True
        hub = self._services.hub
        hub.inside.listed.connect(self._on_listed)
        hub.inside.looked.connect(self._on_looked)
        hub.inside.refused.connect(self._on_refused)
        hub.jobs.changed.connect(self._on_changed)
        hub.jobs.ended.connect(self._on_ended)

    def _measure(self, kind: str, extra: float) -> None:
        assert self._entry is not None
        request = SuggestTypes(self._entry.path, kind, extra)
        folder = workspace(request, self._services.paths)
        self._services.hub.jobs.add(Job(f"Measuring the tensors of {self._entry.name}", (request,), folders=(folder,)))

    def _cancel(self) -> None:
        if (status := self._status()) is not None:
            self._services.hub.jobs.cancel(status.id)

    def _use(self, found: TypesSuggested) -> None:
        if self._entry is not None:
            entry, window = self._entry, self.window
            if window is not None:
                window.close()
            self._quantizing.open_dialog(entry, found)

    def _status(self) -> JobStatus | None:
        """The measurement of this model that waits or runs."""
        return next((status for status in self._services.hub.jobs.jobs if self._is_ours(status)), None)

    def _is_ours(self, status: JobStatus) -> bool:
        request = status.job.requests[0]
        return isinstance(request, SuggestTypes) and self._entry is not None and request.model == self._entry.path

    def _on_listed(self, inside: Inside) -> None:
        if self.window is not None:
            self.window.show_list(inside)

    def _on_looked(self, look: TensorLook) -> None:
        if self.window is not None:
            self.window.show_look(look)

    def _on_refused(self, question: LookInside | LookAtTensor, sentence: str) -> None:
        if self.window is not None:
            self.window.refuse(question, sentence)

    def _on_changed(self, status: JobStatus) -> None:
        if self.window is not None and self._is_ours(status):
            progress = status.progress
            self.window.show_progress(progress if isinstance(progress, Progress) else None)

    def _on_ended(self, status: JobStatus) -> None:
        if isinstance(status.result, TypesSuggested):
            self._found[status.result.path] = status.result
            name = status.result.path.name.removesuffix(".gguf")
            self._notice.show_notice(f"{name}: {status.result.sentence}")
        if self.window is None or not self._is_ours(status):
            return
        if status.state is JobState.DONE and isinstance(status.result, TypesSuggested):
            self.window.show_suggestion(status.result)
        elif status.failure is not None:
            self.window.show_no_suggestion(f"{status.failure.sentence} {status.failure.hint}".strip())
        else:
            self.window.show_no_suggestion("")

    def _on_closed(self, window: InsideWindow) -> None:
        if self.window is window:
            self.window = None
