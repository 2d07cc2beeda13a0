"""Looking around in the local hub from a window: pages, stale answers, the network gone and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.hub.repository import SearchQuery
from app.hub.transport import Hub
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub, starter_repository
from tests.workers.conftest import TIMEOUT_MS
from workers.hub_browser import HubBrowser
from workers.tasks import TaskRunner

__all__ = ["hub", "starter_repository"]


class Watched:
    def __init__(self, hub: HubServer, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.tasks = TaskRunner()
        self.browser = HubBrowser(self.tasks, lambda: Hub(hub.endpoint))
        self.found: list[str] = []
        self.firsts = 0
        self.events: list[tuple] = []
        self.browser.results.connect(self._on_results)
        for name in ("search_ended", "opened", "card", "search_failed", "open_failed", "offline_changed"):
            getattr(self.browser, name).connect(lambda *values, name=name: self.events.append((name, *values)))

    def _on_results(self, results: tuple, is_first: bool) -> None:
        self.firsts += is_first
        self.found = [*([] if is_first else self.found), *(one.id for one in results)]

    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)


@pytest.fixture
def watched(hub: HubServer, qtbot: QtBot) -> Iterator[Watched]:
    watched = Watched(hub, qtbot)
    yield watched
    watched.browser.close()
    watched.tasks.close()


def test_scrolling_brings_page_after_page(tmp_path: Path, qtbot: QtBot) -> None:
    with HubServer(tmp_path, extra_repositories=120) as hub:
        watched = Watched(hub, qtbot)
        watched.browser.search(SearchQuery("instruct"))
        watched.browser.more()  # nothing is there yet: no second request
        watched.wait(lambda: watched.events[-1:] == [("search_ended", True)])
        assert len(watched.found) == 50
        watched.browser.more()
        watched.wait(lambda: len(watched.found) == 100)
        watched.browser.more()
        watched.wait(lambda: watched.events[-1:] == [("search_ended", False)])
        watched.browser.more()
        assert (len(watched.found), watched.firsts) == (120, 1)
        watched.tasks.close()


def test_a_newer_search_replaces_one_that_is_not_answered(
    watched: Watched, hub: HubServer, starter_repository: str
) -> None:
    hub.add_fault(Fault.NO_ANSWER)
    watched.browser.search(SearchQuery("never"))
    watched.wait(lambda: bool(hub.requests))
    watched.browser.search(SearchQuery("stdlib"))
    watched.wait(lambda: watched.found == [starter_repository])
    assert watched.names() == ["search_ended"]


def test_a_repository_and_its_card(watched: Watched, starter_repository: str) -> None:
    watched.browser.open(starter_repository)
    watched.wait(lambda: "card" in watched.names())
    assert watched.names() == ["opened", "card"]
    assert "Answers questions" in watched.events[1][2]


def test_offline_is_said_once_and_when_it_is_over(watched: Watched, hub: HubServer, starter_repository: str) -> None:
    hub.stop()
    for _ in range(2):
        watched.browser.search(SearchQuery("stdlib"))
        watched.wait(lambda: not watched.browser.is_searching)
    assert watched.names() == ["offline_changed", "search_failed", "search_failed"]
    assert watched.browser.is_offline
    hub.start()
    watched.browser.search(SearchQuery("stdlib"))
    watched.wait(lambda: watched.found == [starter_repository])
    assert ("offline_changed", False) in watched.events


def test_a_repository_that_is_not_there_is_a_failure_and_not_offline(watched: Watched) -> None:
    watched.browser.open("nobody/nothing")
    watched.wait(lambda: bool(watched.events))
    (name, repository, failure) = watched.events[0]
    assert (name, repository) == ("open_failed", "nobody/nothing")
    assert "does not have this" in failure.sentence
