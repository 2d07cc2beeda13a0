"""Looks on the hub for a ready-made smaller model to put beside a pruned one; stale answers are dropped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.fit.smaller_siblings import Siblings, Wanted, smaller_siblings
from app.hub.endpoint import Hub
from app.hub.transport import Call
from app.library.library import ModelEntry
from app.system.paths import Paths
from workers.protocol import Failure
from workers.tasks import TaskRunner


class ReadyMade(QObject):
    """One question at a time; the next cuts off the last. What was found is remembered until the program ends."""

    answered = Signal(object, object)
    """Path of the pruned model, Siblings."""
    failed = Signal(object, object)
    """Path of the pruned model, Failure."""

    def __init__(self, paths: Paths, tasks: TaskRunner, hub: Callable[[], Hub], parent: QObject | None = None) -> None:
        """`hub` is called in a thread: its token may come from a keyring."""
        super().__init__(parent)
        self._paths, self._tasks, self._hub = paths, tasks, hub
        self._call = Call()
        self._known: dict[tuple[Path, Path], Siblings] = {}

    def look(self, path: Path, source: ModelEntry, wanted: Wanted) -> None:
        """For the pruned model at `path`, made of `source`."""
        self._call.cancel()
        if (path, source.path) in self._known:
            self.answered.emit(path, self._known[path, source.path])
            return
        self._call = call = Call()
        self._tasks.run(
            lambda: smaller_siblings(self._hub(), source, wanted, self._paths.headers, call),
            on_result=partial(self._on_found, call, path, source.path),
            on_error=partial(self._on_failed, call, path),
            receiver=self,
        )

    def close(self) -> None:
        """For the end of the program: whoever waits for an answer is woken."""
        self._call.cancel()

    def _on_found(self, call: Call, path: Path, source: Path, found: Siblings) -> None:
        if found.models:  # what is not there now may be there when the network is
            self._known[path, source] = found
        if call is self._call:
            self.answered.emit(path, found)

    def _on_failed(self, call: Call, path: Path, failure: Failure) -> None:
        if call is self._call:
            self.failed.emit(path, failure)
