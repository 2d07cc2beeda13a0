"""Downloads side by side, each in a child of its own: pausing is the end of the child, its part stays on disk.

What is not finished is on disk too (`app.hub.part`): after a restart, or a crash, it goes on.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Signal

from app.errors import GatedError
from app.hub import unfinished
from app.hub.messages import Download, Downloaded, DownloadPlan, DownloadProgress
from app.hub.unfinished import Unfinished
from app.operation import Notice
from app.system.paths import Paths
from app.system.process_outcome import Ending, ProcessOutcome
from workers.process import ChildProcess
from workers.protocol import End, Failure, Line
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

_log = logging.getLogger(__name__)


class DownloadState(StrEnum):
    """DONE and CANCELLED are final; a failed one stays, so that it can be tried again."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    FAILED = "failed"
    DONE = "done"
    CANCELLED = "cancelled"


ACTIVE = frozenset({DownloadState.RUNNING, DownloadState.PAUSING, DownloadState.CANCELLING})
FINAL = frozenset({DownloadState.DONE, DownloadState.CANCELLED})


@dataclass(frozen=True, slots=True)
class DownloadStatus:
    """One download. `notice` is the last thing it said that the user should read."""

    id: int
    plan: DownloadPlan
    state: DownloadState = DownloadState.QUEUED
    progress: DownloadProgress | None = None
    failure: Failure | None = None
    notice: str = ""

    @property
    def needs_access(self) -> bool:
        """It failed because the author wants conditions accepted, or a token."""
        return self.failure is not None and self.failure.kind == GatedError.__name__

    @property
    def done_share(self) -> float:
        """The share that is done, from 0 to 1."""
        if self.progress is None or not self.progress.total_bytes:
            return 0.0
        return self.progress.done_bytes / self.progress.total_bytes


class Downloads(QObject):
    """Starts as many at once as the settings say, in the order they were added."""

    changed = Signal(DownloadStatus)
    """DownloadStatus, not final: added, started, further on, paused, failed."""
    ended = Signal(DownloadStatus)
    """DownloadStatus, final."""

    def __init__(
        self,
        paths: Paths,
        settings: SettingsStore,
        tasks: TaskRunner,
        token: Callable[[str], str],
        command: Sequence[str] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """`token(endpoint)` is called in a thread: the keyring may take a while."""
        super().__init__(parent)
        self._paths, self._settings, self._tasks, self._token = paths, settings, tasks, token
        self._command = command
        self._last_id = 0
        self._statuses: dict[int, DownloadStatus] = {}
        self._children: dict[int, ChildProcess] = {}
        self._closing = False
        self._records = TaskRunner(self, threads=1)  # in order, and not in this thread: a disk may take its time
        settings.changed.connect(lambda fields: self._start_next() if "downloads_at_once" in fields else None)

    @property
    def statuses(self) -> tuple[DownloadStatus, ...]:
        """All that are not final, in the order they were added."""
        return tuple(self._statuses.values())

    def status_of(self, plan: DownloadPlan) -> DownloadStatus | None:
        """The download of the same files into the same folder, if there is one."""
        return next((s for s in self.statuses if (s.plan.folder, s.plan.files) == (plan.folder, plan.files)), None)

    def add(self, plan: DownloadPlan) -> int:
        """Queue a download, or go on with the same one; returns its id."""
        same = self.status_of(plan)
        if same is not None:
            self.resume(same.id)
            return same.id
        return self._add(plan, DownloadState.QUEUED)

    def hand_over(self, plan: DownloadPlan) -> None:
        """A job goes on with the same files: what waits, is paused or has failed is not shown here any more."""
        status = self.status_of(plan)
        if status is not None and status.state not in ACTIVE:
            del self._statuses[status.id]
            self.ended.emit(dataclasses.replace(status, state=DownloadState.CANCELLED))

    def keep(self, plan: DownloadPlan) -> None:
        """The reverse: a job has not come to the end of these files. They wait here, paused."""
        if self.status_of(plan) is None:
            self._add(plan, DownloadState.PAUSED)

    def restore(self) -> None:
        """What was not finished when the program ended goes on; what was paused stays so. For the start."""
        for one in unfinished.unfinished_downloads(self._paths):
            if self.status_of(one.plan) is None:
                self._add(one.plan, DownloadState.PAUSED if one.paused else DownloadState.QUEUED)

    def pause(self, download_id: int) -> None:
        """Stop it for now; what has arrived stays."""
        status = self._statuses.get(download_id)
        if status is None:
            return
        if status.state is DownloadState.QUEUED:
            self._change(status, state=DownloadState.PAUSED)
            self._remember(status, paused=True)
        elif status.state is DownloadState.RUNNING:
            self._remember(status, paused=True)
            self._change(status, state=DownloadState.PAUSING)
            self._end_child(download_id)

    def resume(self, download_id: int) -> None:
        """Go on with one that is paused or has failed."""
        status = self._statuses.get(download_id)
        if status is not None and status.state in (DownloadState.PAUSED, DownloadState.FAILED):
            self._remember(status, paused=False)
            self._change(status, state=DownloadState.QUEUED, failure=None, notice="")
            self._start_next()

    def cancel(self, download_id: int) -> None:
        """End it and remove what has arrived of files that are not whole."""
        status = self._statuses.get(download_id)
        if status is None or status.state is DownloadState.CANCELLING:
            return
        if status.state in ACTIVE:
            self._change(status, state=DownloadState.CANCELLING)
            self._end_child(download_id)
        else:
            self._finish(status, DownloadState.CANCELLED)

    def close(self) -> None:
        """End all children; the downloads go on at the next start. For the end of the program."""
        self._closing = True
        for child in list(self._children.values()):
            child.kill()
            child.pump(1000)
        self._records.close()

    def _add(self, plan: DownloadPlan, state: DownloadState) -> int:
        self._last_id += 1
        status = DownloadStatus(self._last_id, plan, state)
        self._statuses[status.id] = status
        _log.debug("download %d: %s, %d files", status.id, state, len(plan.files))
        self._remember(status, paused=state is DownloadState.PAUSED)
        self.changed.emit(status)
        self._start_next()
        return status.id

    def _start_next(self) -> None:
        for status in self.statuses:
            if self._closing or len(self._children) >= self._settings.current.downloads_at_once:
                return
            # One that is tried again may have a process that is still ending: it starts when that has gone.
            if status.state is DownloadState.QUEUED and status.id not in self._children:
                self._start(status)

    def _start(self, status: DownloadStatus) -> None:
        child = ChildProcess(self)
        self._children[status.id] = child
        child.line_received.connect(lambda line: self._on_line(status.id, line))
        child.ended.connect(lambda outcome: self._on_ended(status.id, outcome))
        self._change(status, state=DownloadState.RUNNING)
        child.start_worker(self._paths, self._command)
        self._tasks.run(
            self._token,
            status.plan.endpoint,
            on_result=lambda token: child.send(Line(1, Download(status.plan, token))),
            on_error=lambda _failure: child.send(Line(1, Download(status.plan))),
            receiver=child,
        )

    def _end_child(self, download_id: int) -> None:
        self._children[download_id].end(grace_ms=0)  # its files are made so that it may be killed at any moment

    def _on_line(self, download_id: int, line: Line) -> None:
        status = self._statuses[download_id]
        if status.state is not DownloadState.RUNNING or line.id != 1:
            return
        if isinstance(line.value, DownloadProgress):
            self._change(status, progress=line.value)
        elif isinstance(line.value, Notice):
            self._change(status, notice=line.value.sentence)
        elif line.end is End.RESULT and isinstance(line.value, Downloaded):
            self._finish(status, DownloadState.DONE)
            self._end_child(download_id)
        elif line.end is not None:
            failure = line.value if isinstance(line.value, Failure) else Failure("The download ended by itself.")
            self._fail(status, failure)
            self._end_child(download_id)

    def _on_ended(self, download_id: int, outcome: ProcessOutcome) -> None:
        self._children.pop(download_id).deleteLater()
        status = self._statuses.get(download_id)
        if status is not None and not self._closing:
            if status.state is DownloadState.PAUSING:
                self._change(status, state=DownloadState.PAUSED)
            elif status.state is DownloadState.CANCELLING:
                self._finish(status, DownloadState.CANCELLED)
            elif status.state is DownloadState.RUNNING and outcome.ending is not Ending.STOPPED:
                self._fail(status, Failure(outcome.sentence, outcome.hint, outcome.details))
        self._start_next()

    def _fail(self, status: DownloadStatus, failure: Failure) -> None:
        self._remember(status, paused=True)
        self._change(status, state=DownloadState.FAILED, failure=failure)

    def _finish(self, status: DownloadStatus, state: DownloadState) -> None:
        end = unfinished.discard if state is DownloadState.CANCELLED else unfinished.forget
        self._records.run(end, self._paths, status.plan)
        del self._statuses[status.id]
        _log.debug("download %d: %s", status.id, state)
        self.ended.emit(dataclasses.replace(status, state=state))

    def _change(self, status: DownloadStatus, **fields: object) -> None:
        changed = dataclasses.replace(status, **fields)  # type: ignore[arg-type]
        if changed.state is not status.state:
            _log.debug("download %d: %s", changed.id, changed.state)
        self._statuses[status.id] = changed
        self.changed.emit(changed)

    def _remember(self, status: DownloadStatus, *, paused: bool) -> None:
        """A disk that will not take it is no failure here: the download itself will say what is wrong with it."""
        record = Unfinished(status.plan, paused)
        self._records.run(unfinished.remember, self._paths, record, on_error=lambda _failure: None)
