"""The chat database on one thread of its own, in order. What it answers arrives on the window's thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from app.chat.store import ChatStore
from app.errors import AppError

DELETED_KEPT_S = 24 * 3600
"""A deleted chat is removed for good at the first start after this time."""

T = TypeVar("T")
OnError = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class _Finished:
    future: Future[Any]
    on_result: Callable[[Any], None] | None
    on_error: OnError | None


class ChatStorage(QObject):
    """Runs functions of the ChatStore one after the other, so that a slow disk never stalls the window."""

    failed = Signal(str, str)
    """(sentence, hint) of a failure for which no `on_error` was given."""
    notice = Signal(str)
    """What the user should read: that a damaged database was replaced, and what was saved of it."""

    _finished_one = Signal()

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        """The database at `path` is opened by the first function that runs, and opened again after a failure."""
        super().__init__(parent)
        self._path = path
        self._store: ChatStore | None = None
        self._notice = ""
        self._closed = False
        self._finished: deque[_Finished] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chats")
        self._finished_one.connect(self._on_finished_one, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        function: Callable[[ChatStore], T],
        on_result: Callable[[T], None] | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Queue `function`. Its result goes to `on_result`, a failure to `on_error` as (sentence, hint).

        A failure that is a bug is told in the same way and then raised on the window's thread, for the except hook.
        """
        if self._closed:
            return
        future = self._thread.submit(self._call, function)
        future.add_done_callback(partial(self._deliver, on_result=on_result, on_error=on_error))

    def close(self) -> None:
        """Wait for what is queued, then close the database. Results still on the way are dropped, failures are told."""
        if self._closed:
            return
        self._closed = True
        self._thread.submit(self._close_store)
        self._thread.shutdown(wait=True)
        while self._finished:
            self._on_finished_one()

    def _call(self, function: Callable[[ChatStore], T]) -> T:
        if self._store is None:
            self._store = ChatStore(self._path)
            self._store.purge_deleted(DELETED_KEPT_S)
        try:
            return function(self._store)
        finally:
            if self._store.notice:
                self._notice, self._store.notice = self._store.notice, ""

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()

    def _deliver(self, future: Future[Any], on_result: Callable[[Any], None] | None, on_error: OnError | None) -> None:
        self._finished.append(_Finished(future, on_result, on_error))
        self._finished_one.emit()

    def _on_finished_one(self) -> None:
        if not self._finished:
            return
        finished = self._finished.popleft()
        if self._notice:
            notice, self._notice = self._notice, ""
            self.notice.emit(notice)
        error = finished.future.exception()
        if error is not None:
            self._tell(error, finished.on_error)
        elif finished.on_result is not None and not self._closed:
            finished.on_result(finished.future.result())

    def _tell(self, error: BaseException, on_error: OnError | None) -> None:
        tell = self.failed.emit if on_error is None or self._closed else on_error
        if isinstance(error, AppError):
            tell(error.sentence, error.hint)
            return
        tell("Something went wrong inside Bantam while it used the chats.", "")
        raise error
