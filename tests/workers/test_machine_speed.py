"""The measurement as a job: put off when something more important begins, and then it can be asked for again."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.system.paths import Paths
from tests.workers.conftest import TIMEOUT_MS
from workers.jobs import JobQueue
from workers.machine_speed import SpeedService
from workers.tasks import TaskRunner


@pytest.fixture
def speed(paths: Paths, qtbot: QtBot) -> Iterator[SpeedService]:

    tasks = TaskRunner()
    queue = JobQueue(paths, (sys.executable, "-c", "import sys; sys.stdin.read()"))
    yield SpeedService(paths, queue, tasks)
    queue.close()
    tasks.close()
    for one in (queue, tasks):
        shiboken6.delete(one)


def test_it_is_put_off_without_a_failure_and_can_be_asked_for_again(speed: SpeedService, qtbot: QtBot) -> None:
    failures: list[object] = []
    speed.failed.connect(failures.append)
    for _ in range(2):
        speed.measure()
        assert speed.is_measuring
        speed.put_off()
        qtbot.waitUntil(lambda: not speed.is_measuring, timeout=TIMEOUT_MS)
    assert (failures, speed.speed) == ([], None)


def test_nothing_is_put_off_where_nothing_runs(speed: SpeedService, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(speed.changed):
        speed.put_off()
