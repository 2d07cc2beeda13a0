"""What every operation has in common: its shape, how it says how far it is, and how it learns that it should stop.

An operation is a function of a frozen request and a context that gives back a frozen result. `app/operations.py` has
the table of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from app.system.paths import Paths, default_paths


class Request:
    """Base of everything that can be asked of an operation: a frozen dataclass with plain fields."""

    __slots__ = ()


class Event:
    """Base of everything that an operation says on the way: a frozen dataclass with plain fields."""

    __slots__ = ()


Result = object
"""What an operation gives back at its end: a frozen dataclass with plain fields, or None."""


class Stage(StrEnum):
    """What is being waited for. The window has a plain word for each."""

    LOAD = "load"
    WARM_UP = "warm up"
    MEASURE_THREADS = "measure threads"
    MEASURE = "measure"
    PREFILL = "prefill"
    SAVE_CACHE = "save cache"
    RESTORE_CACHE = "restore cache"
    MEASURE_SPEED = "measure speed"
    VERIFY = "verify"
    CONVERT = "convert"
    CALIBRATE = "calibrate"
    """Collecting an importance matrix."""
    FOLD = "fold"
    """AWQ: moving scales between layers, without changing what the model computes."""
    QUANTIZE = "quantize"
    REROUND = "re-round"
    """GPTQ: choosing the 4-bit values again, each for what the others got wrong."""
    REFERENCE = "reference"
    """Reading the evaluation text with the source."""
    QUALITY = "quality"
    """Reading the evaluation text with the model that is measured."""
    LOAD_DRAFT = "load draft"
    MEASURE_DRAFT = "measure draft"
    """Timing batches of drafted tokens, once for a model on this machine."""
    COMPARE_DRAFT = "compare draft"
    CHECK_DRAFT = "check draft"
    PRUNE = "prune"
    """A block at a time: reading what flows through it, cutting it, reading again."""
    RANK_LAYERS = "rank layers"
    WRITE_TEXT = "write text"
    """The teacher writes the text that the pruned model learns from."""
    RECOVER = "recover"
    HELD_OUT = "held out"
    """Reading held-out text with teacher and pruned model, before and after."""
    SENSITIVITY = "sensitivity"
    """Storing a group of tensors in 4 bits, and seeing how much the model minds."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """`done` of `total` in the stage's own unit: per mille of the weights, tokens, tensors, measurements."""

    stage: Stage
    done: int
    total: int
    seconds_left: float = 0.0
    """The time left of this stage; 0 while it is not known."""
    loss: float | None = None
    """The loss of the last step of a training, in nats a token; None elsewhere."""


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """One line the user should read, though nothing failed."""

    sentence: str


Report = Callable[[Event], None]
"""How an operation says something on the way."""


ShouldStop = Callable[[], bool]
"""Polled by an operation where it can stop: returns True once the user wants that."""


class StopFlag:
    """False until `set`. Callable, so that it serves wherever an operation takes a `ShouldStop`.

    The flag is a C string, empty or of length one. llama.cpp asks its abort callback before every node of the graph;
    a callback written in Python would take the interpreter's lock some 500 times a token. libc's `strlen` over this
    buffer answers the same question, true or false, without entering Python at all.
    """

    def __init__(self) -> None:
        import ctypes  # the window's process makes none

        self._address = ctypes.addressof
        self._buffer = ctypes.create_string_buffer(2)

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self._buffer[0] != b"\0"

    def set(self) -> None:
        """Ask for a stop. Safe from any thread."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Forget the last stop, before the next operation."""
        self._buffer[0] = b"\0"

    @property
    def address(self) -> int:
        """Where the C string lies; valid as long as this object is."""
        return self._address(self._buffer)


@dataclass(slots=True)
class Loaded:
    """The one model that a process holds between requests."""

    session: object = None
    """The `app.engine.session.Session`; None while no model is loaded."""


def _ignore(_event: Event) -> None:
    """Report to nobody."""


def _go_on() -> bool:
    """Ask nobody for a stop."""
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """What an operation is given beside its request."""

    paths: Paths = field(default_factory=default_paths)
    report: Report = _ignore
    stop: ShouldStop = _go_on
    loaded: Loaded = field(default_factory=Loaded)

    @property
    def flag(self) -> StopFlag:
        """The stop as native code polls it. Raises TypeError for another function, which would not be heard."""
        if self.stop is _go_on:
            return StopFlag()
        if not isinstance(self.stop, StopFlag):
            raise TypeError("the engine polls a StopFlag, and no other function")
        return self.stop
