"""Downloads in real children from the local hub: several at once, paused, cancelled, killed, gone on with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.hub.messages import DownloadPlan
from app.hub.plan import make_plan
from app.hub.repository import open_repository
from app.hub.transport import Hub
from app.hub.unfinished import unfinished_downloads
from app.system.paths import Paths
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub
from tests.workers.conftest import TIMEOUT_MS
from workers.downloads import Downloads, DownloadState, DownloadStatus
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

__all__ = ["hub"]

CONTENT = random.Random(2).randbytes(3_000_000)
STATES = DownloadState


class Watched:
    """The service under test and all it said."""

    def __init__(self, paths: Paths, settings: SettingsStore, tasks: TaskRunner, qtbot: QtBot) -> None:
        self.token = ""
        self.downloads = Downloads(paths, settings, tasks, lambda _endpoint: self.token)
        self.qtbot = qtbot
        self.changes: list[DownloadStatus] = []
        self.ends: list[DownloadStatus] = []
        self.downloads.changed.connect(self.changes.append)
        self.downloads.ended.connect(self.ends.append)

    def state(self, download_id: int) -> DownloadState:
        return next(s.state for s in reversed([*self.changes, *self.ends]) if s.id == download_id)

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def wait_for_bytes(self, download_id: int) -> None:
        self.wait(lambda: any(s.id == download_id and s.done_share > 0.1 for s in self.changes))

    def close(self) -> None:
        self.downloads.close()
        shiboken6.delete(self.downloads)


@pytest.fixture
def settings(qapp: object, paths: Paths) -> SettingsStore:
    return SettingsStore(paths.settings)


@pytest.fixture
def tasks(qapp: object) -> Iterator[TaskRunner]:
    tasks = TaskRunner()
    yield tasks
    tasks.close()


@pytest.fixture
def watched(paths: Paths, settings: SettingsStore, tasks: TaskRunner, qtbot: QtBot) -> Iterator[Watched]:
    watched = Watched(paths, settings, tasks, qtbot)
    yield watched
    watched.close()


def plan(hub: HubServer, paths: Paths, name: str = "m") -> DownloadPlan:
    if not (hub.folder / "someone" / name).exists():
        hub.touch(f"someone/{name}", f"{name}-Q4_0.gguf", CONTENT)
    opened = open_repository(Hub(hub.endpoint), f"someone/{name}")
    return make_plan(hub.endpoint, opened, opened.models[0], paths.models)


def target(plan: DownloadPlan) -> Path:
    return plan.folder / plan.files[0].path


def test_a_download_arrives_and_is_forgotten(watched: Watched, hub: HubServer, paths: Paths) -> None:
    wanted = plan(hub, paths)
    watched.downloads.add(wanted)
    watched.wait(lambda: bool(watched.ends))
    assert watched.ends[0].state is STATES.DONE
    assert target(wanted).read_bytes() == CONTENT
    watched.wait(lambda: unfinished_downloads(paths) == ())
    assert watched.downloads.statuses == ()


def test_no_more_run_at_once_than_the_settings_say(
    watched: Watched, hub: HubServer, paths: Paths, settings: SettingsStore
) -> None:
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf", times=-1)
    ids = [watched.downloads.add(plan(hub, paths, name)) for name in ("a", "b", "c")]
    watched.wait_for_bytes(ids[0])
    assert [status.state for status in watched.downloads.statuses] == [STATES.RUNNING, STATES.RUNNING, STATES.QUEUED]
    settings.update(downloads_at_once=3)
    assert [status.state for status in watched.downloads.statuses] == [STATES.RUNNING] * 3


def test_a_paused_one_goes_on_where_it_was(watched: Watched, hub: HubServer, paths: Paths) -> None:
    wanted = plan(hub, paths)
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf")
    number = watched.downloads.add(wanted)
    watched.wait_for_bytes(number)
    watched.downloads.pause(number)
    watched.wait(lambda: watched.state(number) is STATES.PAUSED)
    watched.wait(lambda: [one.paused for one in unfinished_downloads(paths)] == [True])
    assert not target(wanted).exists()
    before = hub.bytes_sent
    watched.downloads.resume(number)
    watched.wait(lambda: bool(watched.ends))
    assert target(wanted).read_bytes() == CONTENT
    assert hub.bytes_sent - before < 0.9 * len(CONTENT)


@pytest.mark.parametrize("while_it", ["runs", "waits", "is paused"])
def test_a_cancelled_one_leaves_nothing(watched: Watched, hub: HubServer, paths: Paths, while_it: str) -> None:
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf", times=-1)
    wanted = plan(hub, paths)
    if while_it == "waits":
        watched.downloads.add(plan(hub, paths, "a"))
        watched.downloads.add(plan(hub, paths, "b"))
    number = watched.downloads.add(wanted)
    if while_it != "waits":
        watched.wait_for_bytes(number)
    if while_it == "is paused":
        watched.downloads.pause(number)
        watched.wait(lambda: watched.state(number) is STATES.PAUSED)
    watched.downloads.cancel(number)
    watched.wait(lambda: any(status.id == number for status in watched.ends))
    assert watched.state(number) is STATES.CANCELLED
    watched.wait(lambda: not wanted.folder.exists())
    watched.wait(lambda: wanted not in [one.plan for one in unfinished_downloads(paths)])  # a thread of its own


def test_a_killed_child_is_said_and_can_be_tried_again(watched: Watched, hub: HubServer, paths: Paths) -> None:
    wanted = plan(hub, paths)
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf")
    number = watched.downloads.add(wanted)
    watched.wait_for_bytes(number)
    for child in psutil.Process().children():
        child.kill()
    watched.wait(lambda: watched.state(number) is STATES.FAILED)
    (status,) = watched.downloads.statuses
    assert status.failure is not None
    assert status.failure.sentence
    watched.downloads.resume(number)
    watched.wait(lambda: bool(watched.ends))
    assert target(wanted).read_bytes() == CONTENT


def test_after_the_end_of_the_program_it_goes_on(
    hub: HubServer, paths: Paths, settings: SettingsStore, tasks: TaskRunner, qtbot: QtBot
) -> None:
    wanted = plan(hub, paths)
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf")
    first = Watched(paths, settings, tasks, qtbot)
    first.wait_for_bytes(first.downloads.add(wanted))
    first.close()
    second = Watched(paths, settings, tasks, qtbot)
    second.downloads.restore()
    second.wait(lambda: bool(second.ends))
    second.close()
    assert target(wanted).read_bytes() == CONTENT


def test_a_paused_one_stays_paused_after_a_restart(watched: Watched, hub: HubServer, paths: Paths) -> None:
    from app.hub.unfinished import Unfinished, remember

    remember(paths, Unfinished(plan(hub, paths), paused=True))
    watched.downloads.restore()
    assert [status.state for status in watched.downloads.statuses] == [STATES.PAUSED]


def test_a_gated_one_says_so_and_goes_on_with_a_token(watched: Watched, hub: HubServer, paths: Paths) -> None:
    wanted = plan(hub, paths)
    hub.gate("someone/m", "hf_right")
    number = watched.downloads.add(wanted)
    watched.wait(lambda: watched.state(number) is STATES.FAILED)
    assert watched.downloads.statuses[0].needs_access
    watched.token = "hf_right"
    assert watched.downloads.add(wanted) == number  # the same one, not a second
    watched.wait(lambda: bool(watched.ends))
    assert target(wanted).read_bytes() == CONTENT


def test_one_that_is_tried_again_the_moment_it_fails(watched: Watched, hub: HubServer, paths: Paths) -> None:
    """The process of the first attempt is still ending then."""
    wanted = plan(hub, paths)
    hub.gate("someone/m", "hf_right")

    def try_again(status: DownloadStatus) -> None:
        if status.state is STATES.FAILED:
            watched.token = "hf_right"
            watched.downloads.resume(status.id)

    watched.downloads.changed.connect(try_again)
    watched.downloads.add(wanted)
    watched.wait(lambda: bool(watched.ends))
    assert watched.ends[0].state is STATES.DONE
    assert target(wanted).read_bytes() == CONTENT


def test_an_error_of_the_download_is_its_own_sentence(watched: Watched, hub: HubServer, paths: Paths) -> None:
    wanted = plan(hub, paths)
    wanted.folder.mkdir(parents=True)
    target(wanted).write_bytes(b"mine")
    number = watched.downloads.add(wanted)
    watched.wait(lambda: watched.state(number) is STATES.FAILED)
    failure = watched.downloads.statuses[0].failure
    assert failure is not None
    assert "has the name" in failure.sentence
    assert not watched.downloads.statuses[0].needs_access
