"""Looks around in the hub for the window: searches, repositories, cards. In threads; stale answers are dropped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Signal

from app.errors import OfflineError
from app.hub.repository import Repository, SearchQuery
from app.hub.transport import Call, Hub
from workers.protocol import Failure
from workers.tasks import TaskRunner


class HubBrowser(QObject):
    """One search and one repository at a time; the next of each cuts off the last."""

    results = Signal(object, bool)
    """tuple of RepositorySummary, and whether they are the first of a search (else: more of the same)."""
    search_ended = Signal(bool)
    """This page of results is complete; whether there are more."""
    opened = Signal(Repository)
    """Repository"""
    card = Signal(str, str)
    """Repository id, the model card as plain text."""
    search_failed = Signal(Failure)
    """Failure"""
    open_failed = Signal(str, object)
    """Repository id, Failure"""
    offline_changed = Signal(bool)
    """The hub could not be reached, or can be again."""

    def __init__(self, tasks: TaskRunner, hub: Callable[[], Hub], parent: QObject | None = None) -> None:
        """`hub` is called in a thread: its token may come from a keyring."""
        super().__init__(parent)
        self._tasks, self._hub = tasks, hub
        self._search_call, self._open_call = Call(), Call()
        self._query = SearchQuery()
        self._cursor = ""
        self._searching = False
        self._offline = False

    @property
    def is_searching(self) -> bool:
        """A page of results is on its way."""
        return self._searching

    @property
    def is_offline(self) -> bool:
        """The last call could not reach the hub."""
        return self._offline

    def search(self, query: SearchQuery) -> None:
        """The first results of another search."""
        self.cancel_search()
        self._query, self._cursor = query, ""
        self._ask("")

    def more(self) -> None:
        """The next results of the same search, if there are any and none are on their way."""
        if self._cursor and not self._searching:
            self._ask(self._cursor)

    def cancel_search(self) -> None:
        """Its results are not wanted any more."""
        self._search_call.cancel()
        self._search_call, self._searching = Call(), False

    def open(self, repository_id: str) -> None:
        """A repository and then its card."""
        self._open_call.cancel()
        self._open_call = call = Call()
        self._tasks.run(
            self._open,
            repository_id,
            call,
            on_result=partial(self._on_opened, call),
            on_error=partial(self._on_open_failed, call, repository_id),
            receiver=self,
        )

    def close(self) -> None:
        """Close it for the end of the program: whoever waits for an answer is woken."""
        self._search_call.cancel()
        self._open_call.cancel()

    def _ask(self, cursor: str) -> None:
        from app.hub.repository import search

        call, query = self._search_call, self._query
        self._searching = True
        self._tasks.run(
            lambda: search(self._hub(), query, cursor, call=call),
            on_result=lambda page: self._on_page(call, page.results, page.cursor, is_first=not cursor),
            on_error=partial(self._on_search_failed, call),
            receiver=self,
        )

    def _open(self, repository_id: str, call: Call) -> Repository:
        from app.hub.repository import open_repository

        return open_repository(self._hub(), repository_id, call=call)

    def _read_card(self, repository: Repository, call: Call) -> str:
        from app.hub.repository import model_card

        return model_card(self._hub(), repository.id, repository.revision, call)

    def _on_page(self, call: Call, results: tuple[object, ...], cursor: str, *, is_first: bool) -> None:
        if call is not self._search_call:
            return
        self._searching, self._cursor = False, cursor
        self._set_offline(offline=False)
        self.results.emit(results, is_first)
        self.search_ended.emit(bool(cursor))

    def _on_search_failed(self, call: Call, failure: Failure) -> None:
        if call is self._search_call:
            self._searching = False
            self._set_offline(offline=failure.kind == OfflineError.__name__)
            self.search_failed.emit(failure)

    def _on_opened(self, call: Call, repository: Repository) -> None:
        if call is not self._open_call:
            return
        self._set_offline(offline=False)
        self.opened.emit(repository)
        self._tasks.run(
            self._read_card,
            repository,
            call,
            on_result=lambda text: self.card.emit(repository.id, text) if call is self._open_call else None,
            on_error=lambda _failure: self.card.emit(repository.id, "") if call is self._open_call else None,
            receiver=self,
        )

    def _on_open_failed(self, call: Call, repository_id: str, failure: Failure) -> None:
        if call is self._open_call:
            self._set_offline(offline=failure.kind == OfflineError.__name__)
            self.open_failed.emit(repository_id, failure)

    def _set_offline(self, *, offline: bool) -> None:
        if offline != self._offline:
            self._offline = offline
            self.offline_changed.emit(offline)
