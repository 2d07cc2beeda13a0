"""Short lookups in threads: a function and where its result goes. Heavy or native work belongs in a child process."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import shiboken6
from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from app.errors import AppError, Cancelled
from workers.protocol import Failure

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class TaskRunner(QObject):
    """Runs functions in a thread pool; results and failures arrive in this object's thread, the window's."""

    failed = Signal(Failure)
    """Failure of a task that was given no `on_error`: an error is shown unless somebody takes care of it."""

    _ended = Signal(object)  # the task and what came of it

    def __init__(self, parent: QObject | None = None, threads: int = 4) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._tasks: set[_Task] = set()
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        function: Callable[[*Arguments], T],
        *args: *Arguments,
        on_result: Callable[[T], object] | None = None,
        on_error: Callable[[Failure], object] | None = None,
        receiver: QObject | None = None,
    ) -> None:
        """Call `function(*args)` in a thread, then `on_result` or `on_error` here. Cancelled is silent.

        A result is dropped when its receiver has gone: the object whose method is called, or `receiver` for a lambda.
        Methods are held weakly, so that a task keeps no page alive.
        """
        task = _Task(
            lambda: function(*args), _Callback.of(on_result, receiver), _Callback.of(on_error, receiver), self._ended
        )
        self._tasks.add(task)
        self._pool.start(task)

    def close(self, timeout_ms: int = 2000) -> bool:
        """Drop what has not started, wait for what runs. Results that have not arrived never will. True if in time."""
        self._pool.clear()
        in_time = self._pool.waitForDone(timeout_ms)
        for task in self._tasks:
            task.on_result = task.on_error = _NOBODY
        return in_time

    def _on_ended(self, task: _Task) -> None:
        self._tasks.discard(task)
        if task.failure is None:
            task.on_result.call(task.result)
        elif task.on_error is not _NOBODY:
            task.on_error.call(task.failure)
        elif not task.is_silent and task.on_result.is_alive:
            self.failed.emit(task.failure)


@dataclass(frozen=True, slots=True)
class _Callback:
    """What is called in the end, and the object that must still be there for it."""

    function: Callable[[], Callable[[Any], object] | None]
    receiver: Callable[[], QObject | None] | None = None

    @classmethod
    def of(cls, function: Callable[[Any], object] | None, receiver: QObject | None) -> _Callback:
        if function is None:
            return _NOBODY
        owner = receiver if receiver is not None else getattr(function, "__self__", None)
        watched = weakref.ref(owner) if isinstance(owner, QObject) else None
        if hasattr(function, "__self__") and hasattr(function, "__func__"):
            return cls(weakref.WeakMethod(function), watched)
        return cls(lambda: function, watched)

    @property
    def is_alive(self) -> bool:
        if self.function() is None:
            return False
        if self.receiver is None:
            return True
        receiver = self.receiver()
        return receiver is not None and shiboken6.isValid(receiver)

    def call(self, value: object) -> None:
        function = self.function()
        if function is not None and self.is_alive:
            function(value)


_NOBODY = _Callback(lambda: lambda _: None)


class _Task(QRunnable):
    """One function on its way through a thread. Python keeps it until its end has arrived."""

    def __init__(self, function: Callable[[], Any], on_result: _Callback, on_error: _Callback, ended: Any) -> None:
        super().__init__()
        self.setAutoDelete(False)
        self.on_result = on_result
        self.on_error = on_error
        self.result: object = None
        self.failure: Failure | None = None
        self.is_silent = False
        self._function = function
        self._ended = ended

    # Qt overrides

    def run(self) -> None:
        """Call the function; what it raises becomes a Failure."""
        try:
            self.result = self._function()
        except Cancelled:
            self.is_silent, self.failure, self.on_error = True, Failure("Cancelled."), _NOBODY
        except AppError as error:
            self.failure = Failure(error.sentence, error.hint, kind=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one of the three boundaries
            sentence = f"Something went wrong: {type(error).__name__}: {error}"
            self.failure = Failure(sentence, "This is a fault in Bantam.", traceback.format_exc())
        self._ended.emit(self)
