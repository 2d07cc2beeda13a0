"""What the buttons that make a model smaller set off: offers from a child, the dialog with all types, jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from app.inspect.messages import TypesSuggested
from app.library.library import ModelEntry
from app.measure.families import families, reference_for
from app.measure.messages import MeasureQuality, Quality
from app.quantize.messages import Offers
from ui.models.ledger_model import summary
from ui.models.make_smaller import SHOWN
from workers.jobs import Job, JobStatus

if TYPE_CHECKING:
    from ui.errors import NoticeBar
    from ui.models.models_model import ModelsModel
    from ui.models.page import ModelsPage
    from ui.models.quantize_dialog import QuantizeDialog
    from ui.navigation import Navigation
    from workers.services import Services


def connect_make_smaller(page: ModelsPage, services: Services) -> Quantizing:
    """Connect the page's buttons with the services; once. Those of the hub are made when they are first needed."""
    return Quantizing(page, services)


class Quantizing(QObject):
    """The slots. Lives as long as the page."""

    def __init__(self, page: ModelsPage, services: Services) -> None:
        super().__init__(page)
        self._page, self._services = page, services
        self._dialog: QuantizeDialog | None = None
        self._listens = False
        smaller = page.details.smaller
        smaller.offers_wanted.connect(lambda entry: self._ask(entry, SHOWN))
        smaller.requested.connect(lambda requests: services.hub.quantize(requests))
        smaller.more_requested.connect(self.open_dialog)

    def open_dialog(self, entry: ModelEntry, found: TypesSuggested | None = None) -> None:
        """The dialog with all types; with those that were suggested for its tensors filled in."""
        from ui.models.quantize_dialog import TYPES, QuantizeDialog

        self._dialog = QuantizeDialog(entry, self._page.window())
        if found is not None:
            self._dialog.fill_in(found.type, found.overrides)
        self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._dialog.requested.connect(lambda requests: self._services.hub.quantize(requests))
        self._dialog.finished.connect(self._on_closed)
        self._ask(entry, tuple(TYPES))
        self._dialog.open()

    def _ask(self, entry: ModelEntry, types: tuple[str, ...]) -> None:
        offers, settings = self._services.hub.offers, self._services.settings.current
        if self._services.hub.speed.speed is None:
            self._services.hub.speed.measure()  # for the ms a token; they appear when the row is looked at again
        if not self._listens:
            self._listens = True
            offers.answered.connect(self._on_answered)
            offers.refused.connect(self._page.details.smaller.refuse)
        offers.ask(entry.path, types, settings.context_tokens, settings.kv_type)

    def _on_answered(self, offers: Offers) -> None:
        self._page.details.smaller.show_offers(offers)
        if self._dialog is not None:
            self._dialog.show_offers(offers)

    def _on_closed(self) -> None:
        self._dialog = None


# What "Measure what it cost" sets off: a job for each model, and what comes of it in the window.


class Measuring(QObject):
    """The slots. Lives as long as the services; asks for the job queue when it is first needed.

    The child that measures writes the ledger itself; here it is only read again.
    """

    def __init__(self, services: Services, models: ModelsModel, notice: NoticeBar, navigation: Navigation) -> None:
        super().__init__(services)
        self._services, self._models, self._notice, self._navigation = services, models, notice, navigation

    def measure(self, entries: Sequence[ModelEntry]) -> None:
        """Measure these, one after the other. What is being measured already is left out, and that is said."""
        jobs = self._services.hub.jobs
        found = families(self._models.entries, self._models.figures)
        busy = {request.model for status in jobs.jobs for request in _requests(status)}
        for entry in entries:
            if entry.path in busy:
                self._notice.show_notice(f"{entry.path.name} is being measured already.")
                continue
            request = MeasureQuality(entry.path, reference_for(entry.path, found), speed=True)
            handle = jobs.add(Job(f"Measuring {entry.path.name}", (request,), self._parts(request)))
            handle.done.connect(self._on_measured)

    def _parts(self, request: MeasureQuality) -> tuple[Path, ...]:
        if request.reference is None or request.reference.suffix.lower() == ".gguf":
            return ()
        copy = self._services.paths.reference_copy(request.reference)
        return (copy, copy.with_name(copy.name + ".part"))

    def _on_measured(self, quality: Quality) -> None:
        self._services.library.read_figures()
        self._notice.show_notice(summary(quality), "Chat", lambda: self._navigation.chat_with(quality.path))


def _requests(status: JobStatus) -> list[MeasureQuality]:
    return [request for request in status.job.requests if isinstance(request, MeasureQuality)]
