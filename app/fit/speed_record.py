"""What this machine was measured at, and how right the predictions were: predicted and actual ms a token of answers."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.messages import MachineSpeed, TensorSpeed
from app.errors import StorageError
from app.system.files import read_json, write_atomic

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
        errors = [abs(one.predicted_ms - one.actual_ms) / one.actual_ms * 100 for one in self.answers]
        return SpeedError(statistics.median(errors), len(errors))


def read_speed_book(path: Path) -> SpeedBook:
    """The book; an empty one where there is none, or none that can be read."""
    try:
        data = read_json(path)
        answers = tuple(
            SpokenAnswer(str(one["model"]), float(one["predicted_ms"]), float(one["actual_ms"]))
            for one in data["answers"]
        )
        return SpeedBook(_speed(data["speed"]), tuple(one for one in answers if one.actual_ms > 0)[-MAX_ANSWERS:])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return SpeedBook()


def write_speed_book(path: Path, book: SpeedBook) -> None:
    """Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(dataclasses.asdict(book), indent=1).encode())
    except OSError as error:
        raise StorageError(f"The measured speed could not be kept: {error.strerror or error}.") from error


def _speed(data: Any) -> MachineSpeed | None:
    if data is None:
        return None
    types = tuple(TensorSpeed(str(one["type"]), float(one["bytes_per_second"])) for one in data["types"])
    kv, layer = float(data["kv_bytes_per_second"]), float(data["ms_per_layer"])
    if not types or kv <= 0 or layer < 0 or any(one.bytes_per_second <= 0 for one in types):
        raise ValueError("not a speed")
    return MachineSpeed(types, kv, layer, int(data["threads"]), str(data["measured"]))
