"""A queue that keeps what is added to it and runs nothing; the test says what becomes of the jobs."""

from __future__ import annotations

from typing import Any

import pytest

from workers.jobs import FINAL_JOB_STATES, Job, JobHandle, JobQueue, JobState, JobStatus


class AddedJobs(list[Job]):
    """The jobs that were added, in their order."""

    def __init__(self, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, *, but: tuple[type, ...] = ()) -> None:
        """Jobs whose first request is one of `but` are not kept."""
        super().__init__()
        self._queue, self._but = queue, but
        self.handles: list[JobHandle] = []
        monkeypatch.setattr(queue, "add", self._add)

    def _add(self, job: Job) -> JobHandle:
        handle = JobHandle(JobStatus(len(self.handles) + 1, job), self._queue)
        if not isinstance(job.requests[0], self._but):
            self.append(job)
            self.handles.append(handle)
        return handle

    def tell(self, state: JobState, number: int = -1, **more: Any) -> JobStatus:
        """Say that a job (the last one) has come to this, as the queue would."""
        handle = self.handles[number]
        status = JobStatus(handle.id, handle.status.job, state, **more)
        (self._queue.ended if state in FINAL_JOB_STATES else self._queue.changed).emit(status)
        handle.tell(status)
        return status
