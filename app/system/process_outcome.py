"""How a child process ended, and the sentence the user reads about it. No Qt."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """The kinds of end."""

    NOT_STARTED = "not started"
    EXITED = "exited"
    """It ended by itself, with an exit code; nobody had asked it to."""
    CRASHED = "crashed"
    """It was ended by a signal, on Windows by an exception."""
    STOPPED = "stopped"
    """It was ended by us, whatever the exit looks like: the parent remembers what it asked for."""


@dataclass(frozen=True, slots=True)
class ProcessOutcome:
    """The end of a child. `code` is the exit code, the number of the signal, or on Windows the NTSTATUS."""

    ending: Ending
    code: int = 0
    details: str = ""
    """The last lines of its stderr: the native log and the traceback."""
    system_error: str = ""
    """Why it could not be started, in the system's words."""

    @property
    def signal_name(self) -> str:
        """SIGSEGV and the like; on Windows the name of the exception; empty where it was none."""
        return _crash(self.code).name if self.ending is Ending.CRASHED else ""

    @property
    def is_native_fault(self) -> bool:
        """Died of the machine code it ran, so that other machine code may do better."""
        return self.ending is Ending.CRASHED and _crash(self.code).is_native_fault

    @property
    def is_kill(self) -> bool:
        """Killed from outside: by the system when memory ran out, or by somebody."""
        return self.signal_name == "SIGKILL"

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        match self.ending:
            case Ending.NOT_STARTED:
                return f"The engine could not be started: {self.system_error or 'the system gave no reason'}."
            case Ending.STOPPED:
                return "The engine was stopped."
            case Ending.EXITED if self.code == 0:
                return "The engine ended by itself, though nobody asked it to."
            case Ending.EXITED:
                return f"The engine ended by itself with exit code {self.code}."
            case Ending.CRASHED:
                return _crash(self.code).sentence

    def job_sentence(self, title: str) -> str:
        """What happened, where the child carried out a job: “Making x.gguf”."""
        return self.sentence.replace("The engine", f"The job “{title}”", 1)

    @property
    def job_hint(self) -> str:
        """What to do about a job's end: there is no model to load again."""
        if self.ending in (Ending.NOT_STARTED, Ending.STOPPED):
            return self.hint
        return _JOB_HINTS.get(self.hint, "Start it again. If it happens again, copy the details into a report.")

    @property
    def hint(self) -> str:
        """What to do about it; empty where nothing needs doing."""
        match self.ending:
            case Ending.NOT_STARTED:
                return "Run the set-up again; it mends an incomplete installation."
            case Ending.STOPPED:
                return ""
            case Ending.EXITED:
                return "Load the model again. If it happens again, copy the details into a report."
            case Ending.CRASHED:
                return _crash(self.code).hint


@dataclass(frozen=True, slots=True)
class _Crash:
    name: str
    cause: str
    hint: str
    is_native_fault: bool = False

    @property
    def sentence(self) -> str:
        if self.name in ("SIGKILL", "SIGTERM"):
            return f"The engine was killed ({self.name}): {self.cause}."
        return f"The engine crashed ({self.name}: {self.cause})."


_AGAIN = "Load the model again. If it crashes again, try another model, and copy the details into a report."
_MEMORY = "Close other programs, or take a smaller model or a shorter context, then load it again."
_DISK = "See whether the model file and its drive are still there, then load it again."

_TOUCHED = "it touched memory that is not its own"
_INSTRUCTION = "it used an instruction that this processor does not have"
_IMPOSSIBLE = "it found something that cannot be, and gave up"
_ARITHMETIC = "an impossible calculation, such as a division by zero"

_LIMIT = "Raise the limit (ulimit -t)."
_SHUT_DOWN = "Load the model again."
_JOB_HINTS = {
    _MEMORY: "Close other programs, or unload the model that is chatted with, then start it again.",
    _DISK: "See whether the files it reads and their drive are still there, then start it again.",
    _LIMIT: _LIMIT,
    _SHUT_DOWN: "Start it again.",
}

_SIGNALS = {
    "SIGSEGV": _Crash("SIGSEGV", _TOUCHED, _AGAIN, is_native_fault=True),
    "SIGILL": _Crash("SIGILL", _INSTRUCTION, _AGAIN, is_native_fault=True),
    "SIGBUS": _Crash("SIGBUS", "part of a file in memory could not be read", _DISK, is_native_fault=True),
    "SIGFPE": _Crash("SIGFPE", _ARITHMETIC, _AGAIN, is_native_fault=True),
    "SIGABRT": _Crash("SIGABRT", _IMPOSSIBLE, _AGAIN),
    "SIGKILL": _Crash("SIGKILL", "the system ran out of memory, or somebody ended it", _MEMORY),
    "SIGTERM": _Crash("SIGTERM", "somebody ended it, or the system is shutting down", _SHUT_DOWN),
    "SIGXCPU": _Crash("SIGXCPU", "the system's limit of processor time was reached", _LIMIT),
}

_NTSTATUS = {
    0xC0000005: _Crash("access violation", _TOUCHED, _AGAIN, is_native_fault=True),
    0xC000001D: _Crash("illegal instruction", _INSTRUCTION, _AGAIN, is_native_fault=True),
    0xC0000096: _Crash("privileged instruction", _INSTRUCTION, _AGAIN, is_native_fault=True),
    0xC0000094: _Crash("division by zero", _ARITHMETIC, _AGAIN, is_native_fault=True),
    0xC0000006: _Crash("in-page error", "part of a file in memory could not be read", _DISK, is_native_fault=True),
    0xC00000FD: _Crash("stack overflow", "it called itself too deeply", _AGAIN),
    0xC0000374: _Crash("heap corruption", "its memory was damaged", _AGAIN),
    0xC0000409: _Crash("fail fast", _IMPOSSIBLE, _AGAIN),
    0xC0000017: _Crash("no memory", "the system ran out of memory", _MEMORY),
    0xC000012D: _Crash("commitment limit", "the system ran out of memory", _MEMORY),
}


def _crash(code: int) -> _Crash:
    if sys.platform == "win32":
        status = code & 0xFFFFFFFF
        return _NTSTATUS.get(status, _Crash(f"0x{status:08X}", "Windows ended it", _AGAIN))
    try:
        name = signal.Signals(code).name
    except ValueError:
        name = f"signal {code}"
    return _SIGNALS.get(name, _Crash(name, "the system ended it", _AGAIN))
