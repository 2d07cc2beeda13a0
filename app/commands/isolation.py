"""Run a command in a child of its own, because valid machine code can still kill the process that runs it.

The child is this same command with a marker in its environment; it has the terminal to itself, and ends with the one
that waits for it. If it dies in the first decode of a model, that is remembered for this machine and the command is run
again in the safe way.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import psutil

from app.engine import machine_record
from app.engine.environment import engine_environment
from app.engine.loading_marker import died_in_warm_up, read_marker, safe_mode_notice
from app.errors import AppError
from app.operation import StopFlag
from app.system.frozen import program
from app.system.paths import default_paths
from app.system.process_outcome import Ending, ProcessOutcome

_log = logging.getLogger(__name__)

_MARK = "BANTAM_COMMAND_CHILD"
"""Holds the number of the process that waits."""
_LOOK_S = 1.0

Run = Callable[[argparse.Namespace], int]


def isolated(run: Run) -> Run:
    """`run` in a child process; the exit code is the child's. Raises AppError with the cause where the child died."""

    def supervise(parsed: argparse.Namespace) -> int:
        if waiting := os.environ.get(_MARK):
            if waiting == str(os.getppid()):
                threading.Thread(target=_end_with, args=(psutil.Process().parent(),), daemon=True).start()
            return run(parsed)
        paths = default_paths()
        outcome, pid = _run_child()
        if died_in_warm_up(outcome, read_marker(paths.loading_marker), pid):
            machine_record.remember_safe_mode(paths.machine, outcome.sentence)
            print(safe_mode_notice(outcome), file=sys.stderr)
            outcome, pid = _run_child()
        if outcome.ending is Ending.CRASHED:
            paths.loading_marker.unlink(missing_ok=True)
            raise AppError(outcome.sentence, outcome.hint)
        return outcome.code

    return supervise


def _end_with(parent: psutil.Process | None) -> None:
    """End this process once `parent` has: whoever killed that one wants no hours of work to go on unseen."""
    while parent is not None and parent.is_running():
        time.sleep(_LOOK_S)
    os._exit(1)  # a plain exit would wait for native code


def _run_child() -> tuple[ProcessOutcome, int]:
    """Run this command line again and wait. Ctrl+C is the child's: the terminal sends it there too.

    A child that a third Ctrl+C has not ended either is in native code that nothing else ends: it is killed.
    """
    command = [*program(), *sys.argv[1:]]
    child: subprocess.Popen[bytes] | None = None
    interrupts = 0

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:  # and not SIG_IGN, which the child would inherit
        nonlocal interrupts
        interrupts += 1
        if interrupts >= _PATIENCE and child is not None:
            child.kill()

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        child = subprocess.Popen(command, env=engine_environment() | os.environ | {_MARK: str(os.getpid())})
        _log.debug("child %d started for the command", child.pid)
        code = child.wait()
        _log.debug("child %d ended with code %d", child.pid, code)
    finally:
        signal.signal(signal.SIGINT, previous)
    if code < 0 or code >= 0xC0000000:
        return ProcessOutcome(Ending.CRASHED, abs(code)), child.pid
    return ProcessOutcome(Ending.EXITED, code), child.pid


_PATIENCE = 3
"""The first Ctrl+C asks for an end in order, the second for one at once."""

# Ctrl+C in a command that can stop in order and go on another time.


@contextlib.contextmanager
def finishing_in_order(stop: StopFlag | None = None) -> Iterator[StopFlag]:
    """The first Ctrl+C sets the flag that operations poll; the second ends the command where it is."""
    stop = stop or StopFlag()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if stop():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
