"""What the hub's services set off in the window: rows in the strip, notices, what is offered at the start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMessageBox, QWidget

from app.drafts.messages import MakeDraft
from app.engine.messages import AnswerStatistics
from app.hub.part import remove_part
from app.hub.unfinished import Orphan, orphans
from app.library.messages import FileCheck, Verified
from app.library.other_programs import OtherModel, find_models
from app.measure.messages import MeasureQuality
from app.operations import models_made
from app.quantize.messages import Quantize, Quantized
from ui.errors import MessageBar, NoticeBar
from ui.words import size
from workers.downloads import DownloadState, DownloadStatus
from workers.hub_builds import kept_words
from workers.jobs import JobState, JobStatus

if TYPE_CHECKING:
    from ui.navigation import Navigation
    from ui.window.main_window import MainWindow
    from workers.hub_services import HubServices
    from workers.services import Services


def connect_hub(services: Services, hub: HubServices, window: MainWindow, navigation: Navigation) -> None:
    """Connect the services with the window; once."""
    _HubWiring(services, hub, window, navigation)


class _HubWiring(QObject):
    """The slots. Lives as long as the services."""

    def __init__(self, services: Services, hub: HubServices, window: MainWindow, navigation: Navigation) -> None:
        super().__init__(hub)
        self._services, self._hub, self._window, self._navigation = services, hub, window, navigation
        strip = window.strip
        hub.downloads.changed.connect(strip.show_status)
        hub.downloads.ended.connect(self._on_download_ended)
        self._told: dict[type[object], tuple[MessageBar, str]] = {}
        """The bar that says how the last job of a kind ended, by what it does in the end, and its
        sentence.
        """
        hub.jobs.changed.connect(strip.show_job)
        hub.jobs.changed.connect(self._on_job_changed)
        hub.jobs.ended.connect(self._on_job_ended)
        hub.speed.failed.connect(window.show_failure)
        strip.pause_requested.connect(hub.downloads.pause)
        strip.resume_requested.connect(hub.downloads.resume)
        strip.cancel_requested.connect(hub.downloads.cancel)
        strip.job_cancel_requested.connect(hub.jobs.cancel)
        services.engine.answer_finished.connect(self._on_answer_finished)

    def _on_download_ended(self, status: DownloadStatus) -> None:
        window = self._window
        window.strip.remove(status.id)
        self._services.library.refresh()
        if status.state is not DownloadState.DONE:
            return
        path = status.plan.folder / status.plan.files[0].path
        if path.suffix.lower() == ".gguf":
            window.notice.show_notice(f"{status.plan.title} is here.", "Chat", lambda: self._navigation.chat_with(path))
        else:
            window.notice.show_notice(f"{status.plan.title} is here, in {status.plan.folder}.")

    def _on_job_ended(self, status: JobStatus) -> None:
        window = self._window
        window.strip.show_job(status)
        self._services.library.include(models_made(status.job.requests))
        if status.job.has_own_words:
            return
        if status.failure is not None:
            hint = f"{status.failure.hint} {kept_words(status)}".strip()
            window.show_failure(dataclasses.replace(status.failure, hint=hint))
            self._told[_kind(status)] = window.error, window.error.sentence
        elif status.state is JobState.CANCELLED and (kept := kept_words(status)):
            window.notice.show_notice(f"Cancelled: {status.job.title}. {kept}")
            self._told[_kind(status)] = window.notice, window.notice.sentence
        elif status.state is JobState.DONE and isinstance(status.result, Verified):
            result = status.result
            words = f"{result.path.name}: {result.sentence}"
            bar = window.error if result.check is FileCheck.DAMAGED else window.notice
            bar.say(words)
        elif status.state is JobState.DONE and isinstance(status.result, Quantized):
            self._on_quantized(status.result)
        if any(isinstance(request, Quantize) for request in status.job.requests):
            self._services.library.refresh()

    def _on_job_changed(self, status: JobStatus) -> None:
        """One more of a kind has begun: how the last one did not end well is not news any more."""
        if status.progress is None and (told := self._told.pop(_kind(status), None)) is not None:
            bar, sentence = told
            if bar.sentence == sentence:
                bar.hide()

    def _on_quantized(self, result: Quantized) -> None:
        self._navigation.model_made.emit(result.path)
        words = f"{result.path.name} is here: {size(result.source_bytes)} became {size(result.size_bytes)}."
        notice = self._window.notice
        notice.show_notice(words, "Chat", lambda: self._navigation.chat_with(result.path))

    def _on_answer_finished(self, statistics: AnswerStatistics | None) -> None:
        model = self._services.engine.model
        if model is not None and statistics is not None:
            self._hub.speed.record(model, statistics)


def _kind(status: JobStatus) -> type[object]:
    return type(status.job.requests[-1])


def offer_what_is_here(services: Services, notice: NoticeBar) -> None:
    """Look, in a thread, for parts that nobody remembers and for models of other programs; offer what is new."""
    hub, paths = services.hub, services.paths
    known = [status.plan for status in hub.downloads.statuses]
    offered = set(services.state.current.offered_files) | set(services.settings.current.model_files)

    def look() -> tuple[tuple[Orphan, ...], tuple[OtherModel, ...]]:
        return orphans(paths, known), tuple(m for m in find_models() if str(m.path) not in offered)

    def on_result(found: tuple[tuple[Orphan, ...], tuple[OtherModel, ...]]) -> None:
        if notice.sentence:
            return  # what a start has to say stays; nothing is lost, the next one offers it
        if found[0]:
            _offer_orphans(notice, hub, found[0])
        elif found[1]:
            _offer_models(notice, services, found[1])

    services.tasks.run(look, on_result=on_result, receiver=hub)


def _offer_orphans(notice: NoticeBar, hub: HubServices, found: tuple[Orphan, ...]) -> None:
    total = size(sum(orphan.size_bytes for orphan in found))
    what = f"“{found[0].target.name}”" if len(found) == 1 else f"{len(found)} files"
    notice.say(f"{what} of an earlier download did not arrive whole ({total}).")
    plans = dict.fromkeys(orphan.plan for orphan in found if orphan.plan is not None)
    if plans:
        notice.add_button("Go on", lambda: [hub.downloads.add(plan) for plan in plans], role="primary")

    def remove() -> None:
        for orphan in found:
            remove_part(orphan.target)

    notice.add_button("Remove", remove)


def _offer_models(notice: NoticeBar, services: Services, found: tuple[OtherModel, ...]) -> None:
    settings, state = services.settings, services.state
    paths = tuple(str(model.path) for model in found)
    programs = " and ".join(dict.fromkeys(model.program for model in found))
    state.update(offered_files=(*state.current.offered_files, *paths))
    what = f"“{Path(paths[0]).name}”" if len(found) == 1 else f"{len(found)} models"
    notice.say(f"{what} of {programs} can be used where they lie; nothing is copied.")
    notice.add_button("Add to my models", lambda: settings.update(model_files=(*settings.current.model_files, *paths)))


# The question before the program ends in the middle of a job that takes a while, and what it says becomes of it.


QUIT, STAY = "Quit", "Stay"
_LONG = (Quantize, MakeDraft, MeasureQuality)
"""Minutes to hours, and none of them is begun again by itself. A download goes on at the next start: no need to ask."""


def quit_question(jobs: Sequence[JobStatus]) -> str:
    """What an end of the program means for the jobs that run or wait; "" where that is nothing to think about."""
    if any(status.job.stages for status in jobs):
        return "A recipe is running. What it has finished is kept, and the next start offers to go on with it."
    long = [status.job.title for status in jobs if any(isinstance(one, _LONG) for one in status.job.requests)]
    return f"“{long[0]}” has not ended. Quitting cancels it." if long else ""


def ask_to_quit(window: QWidget, question: str, quit_now: Callable[[], object]) -> QMessageBox:
    """Ask over the window, without holding up what runs; at most one question stands there."""
    box = window.findChild(QMessageBox, "leaving") or _box(window, quit_now)
    box.setText(question)
    box.open()
    return box


def _box(window: QWidget, quit_now: Callable[[], object]) -> QMessageBox:
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Bantam", "", QMessageBox.StandardButton.NoButton, window)
    box.setObjectName("leaving")
    box.addButton(QUIT, QMessageBox.ButtonRole.AcceptRole).clicked.connect(quit_now)
    stay = box.addButton(STAY, QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(stay)
    box.setDefaultButton(stay)
    return box
