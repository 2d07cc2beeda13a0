"""The way from a repository's original weights to a model to chat with, in one job: download, convert, quantize,
verify.

What has been downloaded is never lost with the job: whole, it is a folder on the Models page; half, a paused download.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.hub import unfinished
from app.hub.messages import Download, DownloadPlan
from app.hub.unfinished import Unfinished
from app.quantize.messages import Quantize
from app.quantize.outputs import part_paths
from app.system.paths import Paths
from workers.downloads import Downloads
from workers.jobs import Job, JobQueue, JobState, JobStatus
from workers.tasks import TaskRunner


@dataclass(frozen=True, slots=True)
class _Making:
    """What was asked for, before it is a job."""

    plan: DownloadPlan
    request: Quantize


class Makings(QObject):
    """Adds the jobs, and takes care of what has arrived when one does not end well."""

    changed = Signal(Path)
    """Folder of a model of which something is made, or is not made any more."""

    def __init__(
        self,
        paths: Paths,
        jobs: JobQueue,
        downloads: Downloads,
        tasks: TaskRunner,
        token: Callable[[str], str],
        parent: QObject | None = None,
    ) -> None:
        """`token(endpoint)` is called in a thread: the keyring may take a while."""
        super().__init__(parent)
        self._paths, self._jobs, self._downloads = paths, jobs, downloads
        self._tasks, self._token = tasks, token
        self._begun: list[_Making] = []
        self._whole: set[int] = set()
        """Jobs whose download is known to be whole."""
        self._closing = False
        self._records = TaskRunner(self, threads=1)  # in order, and not in this thread
        jobs.changed.connect(self._on_changed)
        jobs.ended.connect(self._on_ended)

    def make(self, plan: DownloadPlan, request: Quantize) -> None:
        """Download the plan's files, then make `request`, whose source is the plan's folder."""
        making = _Making(plan, request)
        self._begun.append(making)
        self._downloads.hand_over(plan)
        self._records.run(
            unfinished.remember,
            self._paths,
            Unfinished(plan, paused=True),
            on_result=lambda _: self._ask_for_token(making),
            on_error=lambda _failure: self._ask_for_token(making),  # the download will say what is wrong with the disk
            receiver=self,
        )
        self.changed.emit(plan.folder)

    def types_in_work(self, folder: Path) -> frozenset[str]:
        """What is being made, or waits to be made, of this folder."""
        begun = [making.request for making in self._begun]
        queued = [request for status in self._jobs.jobs for request in status.job.requests]
        return frozenset(r.type for r in (*begun, *queued) if isinstance(r, Quantize) and r.source == folder)

    def is_downloading(self, folder: Path) -> bool:
        """Whether a job downloads into this folder, or is going to."""
        plans = [plan for status in self._jobs.jobs if (plan := _plan(status)) and status.step == 0]
        return any(plan.folder == folder for plan in (*plans, *(making.plan for making in self._begun)))

    def close(self) -> None:
        """Close it for the end of the program, before the queue is closed: what has arrived is there at the next
        start.
        """
        self._closing = True
        self._records.close()

    def _ask_for_token(self, making: _Making) -> None:
        self._tasks.run(
            self._token,
            making.plan.endpoint,
            on_result=lambda token: self._add(making, token),
            on_error=lambda _failure: self._add(making, ""),
            receiver=self,
        )

    def _add(self, making: _Making, token: str) -> None:
        self._begun.remove(making)
        if self._closing:
            return
        requests = (Download(making.plan, token), making.request)
        self._jobs.add(Job(f"Making {making.request.output.name}", requests, part_paths(making.request)))

    def _on_changed(self, status: JobStatus) -> None:
        plan = _plan(status)
        if plan is not None and status.step > 0 and status.id not in self._whole:
            self._whole.add(status.id)
            self._records.run(unfinished.forget, self._paths, plan)
            self.changed.emit(plan.folder)

    def _on_ended(self, status: JobStatus) -> None:
        self._whole.discard(status.id)
        plan = _plan(status)
        if plan is not None and status.step == 0 and not self._closing and not self.is_downloading(plan.folder):
            self._downloads.keep(plan)
        for request in status.job.requests:
            if isinstance(request, Quantize):
                self.changed.emit(request.source)


def kept_words(status: JobStatus) -> str:
    """What became of the download of a job that did not end well; "" where there was none."""
    if status.state is JobState.DONE or _plan(status) is None:
        return ""
    if status.step > 0:
        return "The download is kept: it can be made smaller on the Models page."
    return "What has arrived of the download is kept, and can go on."


def _plan(status: JobStatus) -> DownloadPlan | None:
    first = status.job.requests[0]
    return first.plan if isinstance(first, Download) else None
