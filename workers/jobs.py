"""Heavy jobs, one at a time, each in a child of its own: queued, running, cancelled, and one signal at the end.

A job is never both cancelled and done: once it is being cancelled, what the child still says counts for nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.engine.messages import TooLarge
from app.hub.messages import DownloadProgress
from app.operation import Notice, Progress, Request, Result
from app.system.paths import Paths
from app.system.process_outcome import Ending, ProcessOutcome
from workers.process import ChildProcess
from workers.protocol import End, Failure, Hello, Line

_log = logging.getLogger(__name__)


class JobState(StrEnum):
    """The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """It said why."""
    CRASHED = "crashed"
    """Its process died."""


FINAL_JOB_STATES = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED, JobState.CRASHED})


@dataclass(frozen=True, slots=True)
class Job:
    """Requests that run one after the other in one child; the result of the last is the job's.

    `parts` are the unfinished files it writes; they go when it does not end well.
    """

    title: str
    requests: tuple[Request, ...]
    parts: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    """What the same job could go on from. They go when the user cancels it, not when it fails or the program ends."""
    stages: tuple[int, ...] = ()
    """For each request, which step of the user's own it belongs to, from 0. Empty: each is a step."""
    stage_count: int = 0
    """How many steps the user sees; 0 with `stages` empty."""
    has_own_words: bool = False
    """Whether whoever adds the job tells the user how it ended; else the window does."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job in the queue. `result` belongs to DONE, `failure` to FAILED and CRASHED."""

    id: int
    job: Job
    state: JobState = JobState.QUEUED
    progress: Progress | DownloadProgress | None = None
    step: int = 0
    """Which of the job's requests runs, from 0; `progress` is of it alone."""
    result: Result = None
    failure: Failure | None = None
    results: tuple[Result, ...] = ()
    """The results of the requests that are done, in their order."""
    notices: tuple[str, ...] = ()
    """Sentences for the user that were said on the way, in their order."""

    @property
    def stage(self) -> tuple[int, int]:
        """Which step of how many it is at, as the user counts them, from 1."""
        if not self.job.stages:
            return self.step + 1, len(self.job.requests)
        return self.job.stages[self.step] + 1, self.job.stage_count


class JobHandle(QObject):
    """One job of the queue, for whoever added it. Nothing is said before `add` has returned."""

    progressed = Signal(JobStatus)
    """The status, not yet final: added, started, further on, being cancelled."""
    ended = Signal(JobStatus)
    """The final status. Exactly once, after its process is gone and its parts are removed."""
    done = Signal(object)  # whatever the last request gives, or None
    """The result of a job that ended well."""
    failed = Signal(Failure)
    cancelled = Signal()

    def __init__(self, status: JobStatus, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.status = status

    @property
    def id(self) -> int:
        """The job's number, which the queue cancels it by."""
        return self.status.id

    def tell(self, status: JobStatus) -> None:
        """Say where the job is. Called by the queue."""
        self.status = status
        if status.state not in FINAL_JOB_STATES:
            self.progressed.emit(status)
            return
        self.ended.emit(status)
        if status.state is JobState.DONE:
            self.done.emit(status.result)
        elif status.failure is not None:
            self.failed.emit(status.failure)
        else:
            self.cancelled.emit()


class JobQueue(QObject):
    """Runs jobs in the order they were added."""

    changed = Signal(JobStatus)
    """The status of any job, not yet final: added, started, further on, being cancelled."""
    ended = Signal(JobStatus)
    """The final status of any job."""

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = command
        self._last_id = 0
        self._jobs: dict[int, JobStatus] = {}
        self._handles: dict[int, JobHandle] = {}
        self._child: ChildProcess | None = None
        self._running_id = 0
        self._step = 0
        self._closing = False
        self._verdict: JobStatus | None = None
        """What the job will be once its process is gone."""

    @property
    def jobs(self) -> tuple[JobStatus, ...]:
        """The jobs that have not ended, the running one first."""
        return tuple(self._jobs.values())

    @property
    def is_closing(self) -> bool:
        """Whether what ends now is ended by the end of the program, and not by the user."""
        return self._closing

    def add(self, job: Job) -> JobHandle:
        """Queue a job; it is announced, and started if nothing runs, once this has returned."""
        self._last_id += 1
        status = JobStatus(self._last_id, job)
        self._jobs[status.id] = status
        _log.debug("job %d: %s, %d steps", status.id, status.state, len(job.requests))
        handle = self._handles[status.id] = JobHandle(status, self)
        QTimer.singleShot(0, self, lambda: self._begin(status.id))
        return handle

    def _begin(self, job_id: int) -> None:
        if (status := self._jobs.get(job_id)) is not None and status.state is JobState.QUEUED:
            self._change(status)
            self._start_next()

    def cancel(self, job_id: int) -> None:
        """Cancel a job that waits or runs. One that has ended, or has its result already, stays as it is."""
        status = self._jobs.get(job_id)
        if status is None:
            return
        if status.state is JobState.QUEUED:
            self._end(dataclasses.replace(status, state=JobState.CANCELLED))
        elif self._child is not None and self._verdict is None:
            self._verdict = dataclasses.replace(status, state=JobState.CANCELLED)
            self._change(dataclasses.replace(status, state=JobState.CANCELLING))
            self._child.end()

    def close(self) -> None:
        """Cancel everything and wait for it, a second at most. For the end of the program."""
        self._closing = True
        for status in reversed(self.jobs):
            self.cancel(status.id)
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    def _start_next(self) -> None:
        if self._child is not None or not self._jobs:
            return
        status = next(iter(self._jobs.values()))
        self._running_id, self._step, self._verdict = status.id, 0, None
        self._child = ChildProcess(self)
        self._child.line_received.connect(self._on_line)
        self._child.ended.connect(self._on_ended)
        self._child.start_worker(self._paths, self._command)
        self._change(dataclasses.replace(status, state=JobState.RUNNING))
        self._send_step()

    def _send_step(self) -> None:
        if self._child is not None and self._verdict is None:
            self._child.send(Line(self._step + 1, self._jobs[self._running_id].job.requests[self._step]))

    def _on_line(self, line: Line) -> None:
        status = self._jobs[self._running_id]
        if self._verdict is not None or isinstance(line.value, Hello) or line.id != self._step + 1:
            return
        if line.end is not None:
            self._on_end(status, line)
        elif isinstance(line.value, Progress | DownloadProgress):
            self._change(dataclasses.replace(status, progress=line.value))
        elif isinstance(line.value, Notice):
            self._change(dataclasses.replace(status, notices=(*status.notices, line.value.sentence)))

    def _on_end(self, status: JobStatus, line: Line) -> None:
        if line.end is End.FAILED:
            self._conclude(dataclasses.replace(status, state=JobState.FAILED, failure=line.value))
        elif line.end is End.CANCELLED:
            self._conclude(dataclasses.replace(status, state=JobState.CANCELLED))
        elif isinstance(line.value, TooLarge):
            failure = Failure(line.value.sentence)
            self._conclude(dataclasses.replace(status, state=JobState.FAILED, failure=failure))
        elif self._step + 1 < len(status.job.requests):
            self._step += 1
            results = (*status.results, line.value)
            self._change(dataclasses.replace(status, step=self._step, progress=None, results=results))
            self._send_step()
        else:
            results = (*status.results, line.value)
            self._conclude(dataclasses.replace(status, state=JobState.DONE, result=line.value, results=results))

    def _conclude(self, verdict: JobStatus) -> None:
        assert self._child is not None
        self._verdict = verdict
        self._child.end()

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        status = self._verdict or self._jobs[self._running_id]
        if self._verdict is None:
            state = JobState.CANCELLED if outcome.ending is Ending.STOPPED else JobState.CRASHED
            crashed = Failure(outcome.job_sentence(status.job.title), outcome.job_hint, outcome.details)
            failure = crashed if state is JobState.CRASHED else None
            status = dataclasses.replace(status, state=state, failure=failure)
        self._end(status)
        self._start_next()

    def _change(self, status: JobStatus) -> None:
        before = self._jobs[status.id]
        if (before.state, before.step) != (status.state, status.step):
            _log.debug("job %d: %s, step %d of %d", status.id, status.state, status.step + 1, len(status.job.requests))
        self._jobs[status.id] = status
        self._handles[status.id].tell(status)
        self.changed.emit(status)

    def _end(self, status: JobStatus) -> None:
        del self._jobs[status.id]
        _log.debug("job %d: %s", status.id, status.state)
        if status.state is not JobState.DONE:
            for part in status.job.parts:
                with contextlib.suppress(OSError):
                    part.unlink()
        if status.state is JobState.CANCELLED and not self._closing:
            for folder in status.job.folders:
                shutil.rmtree(folder, ignore_errors=True)
        handle = self._handles.pop(status.id)
        self.ended.emit(status)
        handle.tell(status)
        handle.deleteLater()
