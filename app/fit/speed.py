"""How long a token will take: the bytes that decoding reads, over what this machine reads in a second of each type.

Decoding one token at a time is bound by memory, as every weight is read once for it (Williams et al. 2009, the
roofline model); where a type's kernel is slower than the memory, the measured figure of that type has it in it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import MachineSpeed
from app.errors import StorageError
from app.fit.judgement import ReadProfile
from app.library.tensor_types import TENSOR_TYPES
from app.records import build_leniently
from app.system.files import locked, read_json, write_atomic

_BITS = {kind.name: 8 * kind.block_bytes / kind.block for kind in TENSOR_TYPES.values()}


def predicted_ms(reads: ReadProfile, kv_bytes: int, speed: MachineSpeed) -> float:
    """Milliseconds a token, with so many bytes of KV cache filled."""
    weights_s = sum(part.bytes / type_bytes_per_second(part.type, speed) for part in reads.types)
    return 1000 * (weights_s + kv_bytes / speed.kv_bytes_per_second) + reads.layers * speed.ms_per_layer


def type_bytes_per_second(kind: str, speed: MachineSpeed) -> float:
    """The speed as measured, or of the measured type with the nearest number of bits a weight: its kernel is of the
    same kind.
    """
    measured = {one.type: one.bytes_per_second for one in speed.types}
    if kind in measured:
        return measured[kind]
    same_kind = [name for name in measured if name.startswith("IQ") == kind.startswith("IQ")] or list(measured)
    bits = _BITS.get(kind, 16.0)
    return measured[min(same_kind, key=lambda name: abs(_BITS.get(name, 16.0) - bits))]


# What this machine was measured at, and how right the predictions were: predicted and actual ms a token of answers.


MAX_ANSWERS = 200
_LEAST_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """One answer: what was predicted of it and what it took."""

    model: str
    predicted_ms: float
    actual_ms: float


@dataclass(frozen=True, slots=True)
class SpeedError:
    """How far predictions were off here: the median of the absolute errors."""

    median_percent: float
    answers: int

    @property
    def sentence(self) -> str:
        """How far off in plain words."""
        return f"Half of the last {self.answers} answers came within {self.median_percent:.0f} % of the time predicted."


@dataclass(frozen=True, slots=True)
class SpeedBook:
    """All that is kept."""

    speed: MachineSpeed | None = None
    answers: tuple[SpokenAnswer, ...] = ()

    def with_answer(self, answer: SpokenAnswer) -> SpeedBook:
        """The last MAX_ANSWERS are kept."""
        return dataclasses.replace(self, answers=(*self.answers, answer)[-MAX_ANSWERS:])

    def with_speed(self, speed: MachineSpeed) -> SpeedBook:
        """A new measurement; what was predicted from the last one says nothing about it."""
        return SpeedBook(speed)

    @property
    def error(self) -> SpeedError | None:
        """None before there are some answers to judge by."""
        if len(self.answers) < _LEAST_ANSWERS:
            return None
        import statistics  # no window's start needs it

        errors = [abs(one.predicted_ms - one.actual_ms) / one.actual_ms * 100 for one in self.answers]
        return SpeedError(statistics.median(errors), len(errors))


def read_speed_book(path: Path) -> SpeedBook:
    """The book; an empty one where there is none, or none that can be read."""
    try:
        book = build_leniently(SpeedBook, read_json(path))
    except (OSError, ValueError):
        return SpeedBook()
    if book.speed is not None and not _can_be(book.speed):
        return SpeedBook()
    return SpeedBook(book.speed, tuple(one for one in book.answers if one.actual_ms > 0)[-MAX_ANSWERS:])


def change_speed_book(path: Path, change: Callable[[SpeedBook], SpeedBook]) -> None:
    """Replace the book by what `change` makes of it, while nobody else writes it. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            book = change(read_speed_book(path))
            write_atomic(path, json.dumps(dataclasses.asdict(book), indent=1).encode())
    except OSError as error:
        raise StorageError(f"The measured speed could not be kept: {error.strerror or error}.") from error


def _can_be(speed: MachineSpeed) -> bool:
    """Whether every figure is one that a machine can have."""
    types = speed.types and all(one.bytes_per_second > 0 for one in speed.types)
    return bool(types) and speed.kv_bytes_per_second > 0 and speed.ms_per_layer >= 0
