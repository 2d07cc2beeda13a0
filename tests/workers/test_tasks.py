"""Short lookups in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.errors import AppError, Cancelled
from workers.protocol import Failure
from workers.tasks import TaskRunner


class Page(QObject):
    """Somebody who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[object] = []
        self.threads: list[threading.Thread] = []

    def on_result(self, value: object) -> None:
        self.got.append(value)
        self.threads.append(threading.current_thread())


@pytest.fixture
def tasks(qapp: object) -> Iterator[TaskRunner]:
    runner = TaskRunner()
    yield runner
    assert runner.close()
    shiboken6.delete(runner)


@pytest.fixture
def failures(tasks: TaskRunner) -> list[Failure]:
    heard: list[Failure] = []
    tasks.failed.connect(heard.append)
    return heard


def fail(error: Exception) -> None:
    raise error


def test_the_function_runs_in_a_thread_and_its_result_arrives_in_ours(tasks: TaskRunner, qtbot: QtBot) -> None:
    page = Page()
    tasks.run(lambda a, b: (a + b, threading.current_thread()), 2, 3, on_result=page.on_result)
    assert page.got == []
    qtbot.waitUntil(lambda: bool(page.got))
    value, thread = page.got[0]
    assert value == 5
    assert thread is not threading.current_thread()
    assert page.threads == [threading.current_thread()]


def test_many_at_once(tasks: TaskRunner, qtbot: QtBot) -> None:
    page = Page()
    for number in range(200):
        tasks.run(lambda n: n, number, on_result=page.on_result)
    qtbot.waitUntil(lambda: len(page.got) == 200)
    assert sorted(page.got) == list(range(200))


def test_an_error_told_on_purpose_keeps_its_words(tasks: TaskRunner, qtbot: QtBot, failures: list[Failure]) -> None:
    page = Page()
    tasks.run(fail, AppError("No.", "Try yes."), on_result=page.on_result, on_error=page.on_result)
    qtbot.waitUntil(lambda: bool(page.got))
    assert page.got == [Failure("No.", "Try yes.", kind="AppError")]
    assert failures == []


def test_a_bug_nobody_takes_care_of_is_shown_with_details(
    tasks: TaskRunner, qtbot: QtBot, failures: list[Failure]
) -> None:
    tasks.run(fail, ValueError("a bug"))
    qtbot.waitUntil(lambda: bool(failures))
    assert "ValueError: a bug" in failures[0].sentence
    assert "Traceback" in failures[0].details


def test_cancelled_is_silent(tasks: TaskRunner, qtbot: QtBot, failures: list[Failure]) -> None:
    page = Page()
    tasks.run(fail, Cancelled(), on_result=page.on_result)
    tasks.run(lambda: 1, on_result=page.on_result)
    tasks.run(fail, AppError("No."))
    qtbot.waitUntil(lambda: bool(page.got) and bool(failures))
    assert page.got == [1]
    assert [failure.sentence for failure in failures] == ["No."]


@pytest.mark.parametrize("deleted_by", ["Qt", "Python"])
def test_a_result_whose_receiver_has_gone_is_dropped(tasks: TaskRunner, qtbot: QtBot, deleted_by: str) -> None:
    go, page, other = threading.Event(), Page(), Page()
    got = page.got
    tasks.run(go.wait, 10, on_result=page.on_result)
    if deleted_by == "Qt":
        shiboken6.delete(page)
    else:
        del page
    go.set()
    tasks.close()
    tasks.run(lambda: "next", on_result=other.on_result)
    qtbot.waitUntil(lambda: bool(other.got))
    assert got == []


def test_a_lambda_names_its_receiver(tasks: TaskRunner, qtbot: QtBot) -> None:
    page, other, got = Page(), Page(), []
    go = threading.Event()
    tasks.run(go.wait, 10, on_result=lambda value: got.append(("gone", value)), receiver=page)
    tasks.run(go.wait, 10, on_result=lambda value: got.append(("here", value)), receiver=other)
    shiboken6.delete(page)
    go.set()
    qtbot.waitUntil(lambda: bool(got))
    qtbot.waitUntil(lambda: not tasks._tasks)
    assert got == [("here", True)]


def test_close_drops_what_has_not_started(qapp: object) -> None:
    runner = TaskRunner(threads=1)
    ran: list[int] = []
    started, go = threading.Event(), threading.Event()
    runner.run(lambda: started.set() or go.wait(10))
    for number in range(5):
        runner.run(ran.append, number)
    assert started.wait(10)
    assert not runner.close(timeout_ms=0)
    go.set()
    assert runner.close()
    assert ran == []
