"""The child process: reads requests from stdin, runs them one after the other, writes events to a private copy of fd 1.

What native code prints to fd 1 goes to stderr and cannot break the protocol. The end of stdin ends the process at
once, whatever it is doing: the window is gone, or wants it gone. No Qt.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from app import operations
from app.errors import AppError, Cancelled
from app.operation import Context, Event, Loaded, StopFlag
from app.system.paths import default_paths, is_debugging
from workers.protocol import End, Failure, Hello, Line, ProtocolError, Stop, decode, encode

Run = Callable[[Any, Callable[[Event], None], StopFlag], Any]
"""An operation: request, report, stop flag -> result."""


def main() -> int:
    """Be the child until stdin ends. `bantam --worker`."""
    faulthandler.enable()
    # Ctrl-C in the terminal reaches the whole group; the window decides what it means, and closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    paths, loaded = default_paths(), Loaded()
    serve(
        sys.stdin.buffer,
        Outbox.claim_stdout(),
        lambda request, report, stop: operations.run(request, Context(paths, report, stop, loaded)),
    )
    return 0


class Outbox:
    """Writes lines, each in one piece, from any thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    @classmethod
    def claim_stdout(cls) -> Outbox:
        """Take fd 1 for the protocol; from now on fd 1 and `print` lead to stderr."""
        private = os.dup(1)
        os.dup2(2, 1)
        return cls(private)

    def write(self, line: Line) -> None:
        """Write one line; waits where the window is slow to read. Ends the process where the window is gone."""
        data = memoryview(encode(line))
        with self._lock:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except OSError:
                    os._exit(0)


class Inbox:
    """What the window asked for, read by a thread so that a stop arrives while an operation runs."""

    def __init__(self, stdin: BinaryIO) -> None:
        self._stdin = stdin
        self._requests: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._flags: dict[int, StopFlag] = {}
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next(self) -> tuple[Line, StopFlag]:
        """Wait for the next request; the flag may be set already, when it was stopped while it waited."""
        line = self._requests.get()
        return line, self._flags[line.id]

    def done(self, line: Line) -> None:
        """The request has ended: stops that arrive from now on mean nothing."""
        del self._flags[line.id]

    def _read(self) -> None:
        for raw in iter(self._stdin.readline, b""):
            try:
                line = decode(raw)
            except ProtocolError as error:
                print(error, file=sys.stderr)
                if error.id is None or error.id in self._flags:
                    continue
                line = Line(error.id, error)  # whoever asked would wait for its end for ever
            if not isinstance(line.value, Stop):
                self._flags[line.id] = StopFlag()
                self._requests.put(line)
            elif (flag := self._flags.get(line.id)) is not None:
                flag.set()
        # A plain exit would wait for native code that may run for minutes.
        os._exit(0)


def serve(stdin: BinaryIO, outbox: Outbox, run: Run) -> None:
    """Say hello, then answer requests with `run` until the end of stdin ends the process."""
    if is_debugging():
        from app.diagnostics.debug_log import open_debug_log

        open_debug_log(default_paths())
    inbox = Inbox(stdin)
    outbox.write(Line(0, Hello(os.getpid())))
    while True:
        request, flag = inbox.next()
        end, value = _run_one(request, outbox, run, flag)
        inbox.done(request)
        outbox.write(Line(request.id, value, end))


def _run_one(request: Line, outbox: Outbox, run: Run, flag: StopFlag) -> tuple[End, Any]:
    try:
        if flag():
            return End.CANCELLED, None
        if isinstance(request.value, ProtocolError):
            return End.FAILED, Failure(f"The engine does not know how to do this: {request.value}.")
        return End.RESULT, run(request.value, lambda event: outbox.write(Line(request.id, event)), flag)
    except Cancelled:
        return End.CANCELLED, None
    except AppError as error:
        return End.FAILED, Failure(error.sentence, error.hint, kind=type(error).__name__)
    except Exception as error:  # noqa: BLE001 - one of the three boundaries
        with contextlib.suppress(OSError):
            traceback.print_exc()
        _log_fault(request)
        sentence = f"Something went wrong in the engine: {type(error).__name__}: {error}"
        return End.FAILED, Failure(sentence, "This is a fault in Bantam.", traceback.format_exc())


def _log_fault(request: Line) -> None:
    """Note the fault for the debug log, while the exception is handled."""
    if is_debugging():
        import logging  # not at the top: a child should be ready soon

        name = type(request.value).__name__
        logging.getLogger(__name__).debug("request %d %s failed by a fault", request.id, name, exc_info=True)
