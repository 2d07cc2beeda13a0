"""Heavy jobs: one at a time, cancelled for certain, one signal at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.engine.messages import CountTokens, LoadModel, MeasureThreads, ThreadCounts
from app.operation import Request
from app.system.paths import Paths
from tests.workers.conftest import MISBEHAVING, TIMEOUT_MS, model
from workers import process
from workers.jobs import Job, JobQueue, JobState, JobStatus


class Watched:
    """A queue over misbehaving children and what it said."""

    def __init__(self, queue: JobQueue, qtbot: QtBot) -> None:
        self.queue = queue
        self.qtbot = qtbot
        self.changes: list[JobStatus] = []
        self.ends: list[JobStatus] = []
        queue.changed.connect(self.changes.append)
        queue.ended.connect(self.ends.append)

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def wait_for_ends(self, count: int = 1) -> list[JobStatus]:
        self.wait(lambda: len(self.ends) >= count)
        return self.ends

    def wait_for_progress(self) -> None:
        self.wait(lambda: any(status.progress and status.progress.done for status in self.changes))


@pytest.fixture
def watched(paths: Paths, qtbot: QtBot) -> Iterator[Watched]:
    queue = JobQueue(paths, MISBEHAVING)
    yield Watched(queue, qtbot)
    queue.close()
    shiboken6.delete(queue)


def job(*what: str | Request, parts: tuple[Path, ...] = ()) -> Job:
    requests = tuple(model(one) if isinstance(one, str) else one for one in what)
    return Job("a job", requests, parts)


def test_requests_run_in_order_and_the_last_result_is_the_jobs(watched: Watched) -> None:
    watched.queue.add(job("finish", MeasureThreads()))
    (ended,) = watched.wait_for_ends()
    assert ended.state is JobState.DONE
    assert ended.result == ThreadCounts(2, 2)
    assert [status.state for status in watched.changes[:2]] == [JobState.QUEUED, JobState.RUNNING]
    assert watched.queue.jobs == ()


def test_a_status_says_which_request_runs(watched: Watched) -> None:
    watched.queue.add(job("finish", "finish"))
    (ended,) = watched.wait_for_ends()
    assert [status.step for status in watched.changes if status.state is JobState.RUNNING][-1] == 1
    assert any(status.step == 1 and status.progress is None for status in watched.changes), "the bar begins anew"
    assert ended.step == 1


def test_the_handle_hears_of_its_own_job_from_its_beginning(watched: Watched) -> None:
    other, handle = watched.queue.add(job("finish")), watched.queue.add(job("finish", MeasureThreads()))
    told: list[JobStatus] = []
    results: list[object] = []
    handle.progressed.connect(told.append)
    handle.ended.connect(told.append)
    handle.done.connect(results.append)
    assert watched.changes == [], "nothing is said before whoever adds it can listen"
    watched.wait_for_ends(2)
    assert {status.id for status in told} == {handle.id} != {other.id}
    assert (told[0].state, told[-1].state) == (JobState.QUEUED, JobState.DONE)
    assert results == [ThreadCounts(2, 2)]


def test_the_handle_tells_a_failure_and_a_cancel(watched: Watched) -> None:
    failing, cancelled = watched.queue.add(job("refuse")), watched.queue.add(job("finish"))
    told: list[object] = []
    failing.failed.connect(told.append)
    cancelled.cancelled.connect(lambda: told.append("cancelled"))
    watched.queue.cancel(cancelled.id)
    watched.wait_for_ends(2)
    assert told[0] == "cancelled"
    assert told[1].sentence == "It cannot be done."


def test_one_at_a_time_in_order(watched: Watched) -> None:
    ids = [watched.queue.add(job("finish")).id for _ in range(3)]
    watched.wait(lambda: watched.queue.jobs[0].state is JobState.RUNNING)
    assert [status.state for status in watched.queue.jobs[1:]] == [JobState.QUEUED, JobState.QUEUED]
    assert [status.id for status in watched.wait_for_ends(3)] == ids
    running = [status.id for status in watched.changes if status.state is JobState.RUNNING and not status.progress]
    assert running == ids


def test_cancel_removes_the_unfinished_file_and_the_next_job_runs(watched: Watched, tmp_path: Path) -> None:
    part, kept = tmp_path / "model.gguf.part", tmp_path / "other.gguf"
    part.write_bytes(b"half")
    kept.write_bytes(b"whole")
    first = watched.queue.add(job("ignore stop", parts=(part, tmp_path / "absent.part")))
    watched.queue.add(job("finish"))
    watched.wait_for_progress()
    watched.queue.cancel(first.id)
    watched.queue.cancel(first.id)
    assert watched.queue.jobs[0].state is JobState.CANCELLING
    cancelled, done = watched.wait_for_ends(2)
    assert (cancelled.state, cancelled.failure) == (JobState.CANCELLED, None)
    assert done.state is JobState.DONE
    assert not part.exists()
    assert kept.exists()


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_what_it_could_go_on_from_goes_only_when_the_user_cancels(watched: Watched, tmp_path: Path, end: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "half").write_bytes(b"half")
    handle = watched.queue.add(Job("a job", (model("ignore stop"),), (), (work,)))
    watched.wait_for_progress()
    if end == "cancel":
        watched.queue.cancel(handle.id)
    else:
        watched.queue.close()
    (ended,) = watched.wait_for_ends()
    assert ended.state is JobState.CANCELLED
    assert work.exists() == (end == "close")


def test_a_job_that_does_not_listen_is_killed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_GRACE_MS", 1)
    handle = watched.queue.add(job("hang"))
    watched.wait_for_progress()
    watched.queue.cancel(handle.id)
    assert watched.wait_for_ends()[0].state is JobState.CANCELLED


def test_one_that_waits_is_cancelled_at_once(watched: Watched) -> None:
    watched.queue.add(job("finish"))
    second = watched.queue.add(job("finish"))
    watched.queue.cancel(second.id)
    assert watched.ends[0].id == second.id
    assert [status.state for status in watched.wait_for_ends(2)] == [JobState.CANCELLED, JobState.DONE]


@pytest.mark.parametrize(
    ("what", "state", "sentence"),
    [
        ("refuse", JobState.FAILED, "It cannot be done."),
        ("too large", JobState.FAILED, "It needs more than there is."),
        ("segfault", JobState.CRASHED, "SIGSEGV"),
        ("exit 3", JobState.CRASHED, "exit code 3"),
    ],
)
def test_bad_ends_say_why_remove_the_part_and_let_the_next_job_run(
    watched: Watched, tmp_path: Path, what: str, state: JobState, sentence: str
) -> None:
    part = tmp_path / "model.gguf.part"
    part.write_bytes(b"half")
    watched.queue.add(job(what, CountTokens(()), parts=(part,)))
    watched.queue.add(job("finish"))
    bad, good = watched.wait_for_ends(2)
    assert bad.state is state
    assert sentence in bad.failure.sentence
    assert good.state is JobState.DONE
    assert not part.exists()


def test_a_finished_file_stays(watched: Watched, tmp_path: Path) -> None:
    part = tmp_path / "not-yet-renamed.part"
    part.write_bytes(b"whole")
    watched.queue.add(job("finish", parts=(part,)))
    assert watched.wait_for_ends()[0].state is JobState.DONE
    assert part.exists()


def test_close_ends_all_before_it_returns(watched: Watched) -> None:
    for _ in range(2):
        watched.queue.add(job("ignore stop"))
    watched.queue.close()
    assert [status.state for status in watched.ends] == [JobState.CANCELLED, JobState.CANCELLED]
    assert isinstance(watched.ends[0].job.requests[0], LoadModel)
