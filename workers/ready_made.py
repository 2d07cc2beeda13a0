"""Looks on the hub for a ready-made smaller model to put beside a pruned one; stale answers are dropped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.hub.endpoint import Hub
from app.hub.smaller_siblings import SmallerSibling, smaller_sibling
from app.hub.transport import Call
from app.library.gguf_file import GgufHeader
from app.paths import Paths
from workers.protocol import Failure
from workers.tasks import TaskRunner


class ReadyMade(QObject):
    """One question at a time; the next cuts off the last. What was found is remembered until the program ends."""

    answered = Signal(object, object)
    """Path of the pruned model; SmallerSibling, or None where the hub has none."""
    failed = Signal(object, object)
    """Path of the pruned model, Failure."""

    def __init__(self, paths: Paths, tasks: TaskRunner, hub: Callable[[], Hub], parent: QObject | None = None) -> None:
        """`hub` is called in a thread: its token may come from a keyring."""
        super().__init__(parent)
        self._paths, self._tasks, self._hub = paths, tasks, hub
        self._call = Call()
        self._known: dict[tuple[Path, str], SmallerSibling | None] = {}

    def look(self, path: Path, name: str, pruned: GgufHeader) -> None:
        """For the pruned model at `path`, made of a model of that name."""
        self._call.cancel()
        if (path, name) in self._known:
            self.answered.emit(path, self._known[path, name])
            return
        self._call = call = Call()
        self._tasks.run(
            lambda: smaller_sibling(self._hub(), name, pruned, self._paths.headers, call=call),
            on_result=partial(self._on_found, call, path, name),
            on_error=partial(self._on_failed, call, path),
            receiver=self,
        )

    def close(self) -> None:
        """For the end of the program: whoever waits for an answer is woken."""
        self._call.cancel()

    def _on_found(self, call: Call, path: Path, name: str, found: SmallerSibling | None) -> None:
        self._known[path, name] = found
        if call is self._call:
            self.answered.emit(path, found)

    def _on_failed(self, call: Call, path: Path, failure: Failure) -> None:
        if call is self._call:
            self.failed.emit(path, failure)
