"""Ctrl+C in a command that can stop in order and go on another time."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from app.engine.stop_flag import StopFlag


@contextlib.contextmanager
def finishing_in_order() -> Iterator[StopFlag]:
    """The first Ctrl+C sets the flag that operations poll; the second ends the command where it is."""
    stop = StopFlag()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if stop():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
