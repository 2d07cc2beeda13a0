"""How the window's last run ended: in order, or by a crash, a kill or the end of the computer, told at the next start.

A marker file exists while the window is open. faulthandler writes where it stood when native code brings it down.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import psutil

from app import __version__
from app.system.files import read_json, write_atomic
from app.system.paths import Paths

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAME_START_S = 2.0
_SAVED = "Your chats are saved."
_FAULTS = {
    "Segmentation fault": "it touched memory that is not its own (SIGSEGV)",
    "access violation": "it touched memory that is not its own",
    "Illegal instruction": "it used an instruction that this processor does not have (SIGILL)",
    "Aborted": "it found something that cannot be, and gave up (SIGABRT)",
    "Bus error": "part of a file in memory could not be read (SIGBUS)",
    "Floating-point exception": "an impossible calculation (SIGFPE)",
    "stack overflow": "it called itself too deeply",
}
_HEAD = 2000
"""Characters of the crash log: the fault is named in its first lines."""


class End(StrEnum):
    """The ends that are not in order."""

    CRASHED = "crashed"
    """Native code brought it down, and where is known."""
    KILLED = "killed"
    """It was gone without a trace while the computer went on."""
    COMPUTER_WENT_DOWN = "computer went down"
    """The computer was started again since."""


@dataclass(frozen=True, slots=True)
class BadEnd:
    """An end that was not in order. `version` is of the Bantam that ran, `fault` in words for CRASHED."""

    end: End
    version: str = ""
    fault: str = ""

    @property
    def sentence(self) -> str:
        """What happened, for the user."""
        if self.end is End.CRASHED:
            return f"The last time, Bantam crashed: {self.fault}. {_SAVED}"
        if self.end is End.KILLED:
            return (
                "The last time, Bantam was ended from outside: by the system, which may have been out of memory,"
                f" or by somebody. {_SAVED}"
            )
        return f"The last time, the computer went down while Bantam was open. {_SAVED}"


class Run:
    """This run: from here on an end that is not in order will be known. Leave the context for one that is."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._log: TextIO | None = None
        self.bad_end = _bad_end(paths)
        """The end of the last run; told once, because this run's marker replaces that run's. None where all was
        well.
        """

    def __enter__(self) -> Self:
        """Begin the run. Without a log or a marker, as on a full disk, the run goes on and its end will not be
        known.
        """
        with contextlib.suppress(OSError):
            _keep_log(self._paths.crash_log)
            self._log = self._paths.crash_log.open("w", encoding="utf-8")
            faulthandler.enable(self._log)
        with contextlib.suppress(OSError):
            write_atomic(self._paths.running_marker, json.dumps(_myself()).encode())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """An exception is told as it passes and is no crash."""
        if self._log is not None:
            faulthandler.disable()
            self._log.close()
        with contextlib.suppress(OSError):
            self._paths.running_marker.unlink(missing_ok=True)


def last_crash_log(paths: Paths) -> Path:
    """Where the threads stood at the last crash, after the next start has begun."""
    return paths.crash_log.with_name(paths.crash_log.name + ".old")


def _bad_end(paths: Paths) -> BadEnd | None:
    try:
        marker = read_json(paths.running_marker)
        pid, started = int(marker["pid"]), float(marker["started"])
        boot, version = str(marker["boot"]), str(marker["version"])[:40]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return BadEnd(End.KILLED)  # a marker is written in one piece: one that cannot be read is a damaged disk's
    if _lives(pid, started):
        return None
    if (fault := _fault(paths.crash_log)) is not None:
        return BadEnd(End.CRASHED, version, fault)
    return BadEnd(End.KILLED if boot == _boot() else End.COMPUTER_WENT_DOWN, version)


def _fault(log: Path) -> str | None:
    """What faulthandler says, in words; None where it had nothing to say."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_HEAD)
    except OSError:
        return None
    if not text.strip():
        return None
    return next((words for name, words in _FAULTS.items() if name in text), "native code failed")


def _keep_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > 0:
        log.replace(log.with_name(log.name + ".old"))


def _myself() -> dict[str, object]:
    process = psutil.Process()
    return {"pid": process.pid, "started": process.create_time(), "boot": _boot(), "version": __version__}


def _lives(pid: int, started: float) -> bool:
    """Whether that very process is still there, and not another with its number."""
    try:
        return pid != os.getpid() and abs(psutil.Process(pid).create_time() - started) < _SAME_START_S
    except psutil.Error:
        return False


def _boot() -> str:
    """Another text after each start of the computer."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(round(psutil.boot_time() / 60))  # clocks are set by a few seconds now and then
