"""How much a model minds: its KL divergence from itself when one group of its tensors is stored in 4 bits.

The group's weights are replaced, in a copy of the file, by what is read again after ggml has stored them in 4 bits; the
copy is then an ordinary model that any reader reads. After each group the copy is put back. Divergences are measured
as in `app.measure.quality`, against the likeliest tokens of the model as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gguf
import numpy as np

from app.engine.evaluation import Logits, open_reader, plan_reading
from app.errors import AppError, Cancelled
from app.inspect.groups import Group
from app.inspect.rounding_errors import root_mean_square, stored_as
from app.inspect.sampling import sampled_rows
from app.inspect.tensors import Tensor, open_tensors
from app.measure import scoring
from app.measure.texts import choose_windows
from app.operation import Event, Progress, Report, ShouldStop, Stage
from app.system.hardware import available_memory_bytes
from app.system.paths import Paths
from app.units import size_text

PATCHABLE = frozenset({"F32", "F16", "BF16", "Q8_0"})
"""What values of 4 bits can be written back as with hardly another error."""
_STRETCH_WEIGHTS = 1 << 20
_NOISE_WEIGHTS = 1 << 16
"""Of each tensor, to compare the errors of types."""
_KEPT_BYTES = 256_000_000
_Found = TypeVar("_Found")


def four_bits(columns: int) -> str:
    """The 4-bit type that rows of this width fit; "" for none."""
    return "Q4_K" if columns % 256 == 0 else "Q4_0" if columns % 32 == 0 else ""


def noise_ratio(group: Group, type: str) -> float:
    """Squared error of the group in `type` over that in 4 bits, from some rows of each tensor."""
    ours = theirs = 0.0
    for tensor in group.tensors:
        rows = tensor.rows_at(sampled_rows(tensor.rows, tensor.columns, _NOISE_WEIGHTS))
        share = tensor.row.elements
        ours += share * root_mean_square(rows - stored_as(rows, type)) ** 2
        theirs += share * root_mean_square(rows - stored_as(rows, four_bits(tensor.columns))) ** 2
    return ours / theirs if theirs > 0 else 0.0


class Patch:
    """A copy of a GGUF file in which groups of tensors are stored in 4 bits for a while."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._at = open_tensors(copy)

    def apply(self, group: Group, stop: ShouldStop) -> None:
        """Replace the group's weights. Raises Cancelled between stretches."""
        for tensor in group.tensors:
            self._write(tensor, four_bits(tensor.columns), stop)

    def take_back(self, group: Group) -> None:
        """Bytes as they are in the source."""
        for tensor in group.tensors:
            with tensor.file.open("rb") as source, self._copy.open("r+b") as copy:
                source.seek(tensor.offset)
                copy.seek(self._at[tensor.row.name].offset)
                copy.write(source.read(tensor.row.size_bytes))

    def _write(self, tensor: Tensor, type: str, stop: ShouldStop) -> None:
        step = max(1, _STRETCH_WEIGHTS // tensor.columns)
        kind = gguf.GGMLQuantizationType[tensor.row.type]
        with self._copy.open("r+b") as copy:
            copy.seek(self._at[tensor.row.name].offset)
            for start in range(0, tensor.rows, step):
                if stop():
                    raise Cancelled
                rows = tensor.read(start, min(start + step, tensor.rows))
                copy.write(gguf.quants.quantize(stored_as(rows, type), kind).tobytes())


@dataclass(frozen=True, slots=True)
class Listener:
    """What the model as it is thinks of some windows of a text, kept to be compared with."""

    windows: tuple[tuple[int, ...], ...]
    window_tokens: int
    threads: int
    paths: Paths
    kept: tuple[scoring.KeptRows, ...]

    @classmethod
    def of_model(
        cls, path: Path, text: str, context_tokens: int, windows: int, threads: int, paths: Paths, stop: ShouldStop
    ) -> Listener:
        """Read `windows` of the text with the model. Raises AppError where the text has none, and Cancelled."""
        plan = plan_reading(path, text, context_tokens)
        _check_memory(plan.need_bytes + _KEPT_BYTES)
        size = min(context_tokens, plan.trained_context_tokens or context_tokens)
        available = len(plan.tokens) // size
        if not available:
            raise AppError(
                f"The text is too short: {len(plan.tokens):,} tokens, and one window takes {size:,}.",
                "Take a longer text.",
            )
        numbers = choose_windows(available, windows)
        chosen = tuple(plan.tokens[number * size : (number + 1) * size] for number in numbers)
        count = min(plan.vocabulary_size, max(1, _KEPT_BYTES // (8 * len(chosen) * size)))
        empty = cls(chosen, size, threads, paths, ())
        kept = empty._read(path, stop, lambda rows, _number: scoring.keep(rows, count))
        return cls(chosen, size, threads, paths, tuple(kept))

    def divergence(self, path: Path, stop: ShouldStop) -> float:
        """Mean KL divergence in nats of another model of the same vocabulary. Raises AppError, Cancelled."""
        found = self._read(path, stop, lambda rows, number: scoring.divergence_from_kept(self.kept[number], rows))
        return float(np.concatenate(found).mean())

    def _read(self, path: Path, stop: ShouldStop, use: Callable[[Logits, int], _Found]) -> list[_Found]:
        reader = open_reader(path, self.window_tokens, self.threads, self.paths, _say_nothing, stop)
        found: list[_Found] = []
        try:
            for window in self.windows:
                for _, rows in reader.read(window):
                    if stop():
                        raise Cancelled
                    found.append(use(rows, len(found)))
        finally:
            reader.close()
        return found


def _check_memory(needed: int) -> None:
    available = available_memory_bytes()
    if needed > available:
        raise AppError(
            f"Measuring takes {size_text(needed)} of memory, and {size_text(available)} are free.",
            "Close other programs, or unload the model that is loaded.",
        )


def _say_nothing(_event: Event) -> None:
    """The loads of many short readings are no progress that anybody wants to see."""


def sensitivities(
    listener: Listener, patch: Patch, copy: Path, groups: Sequence[Group], report: Report, stop: ShouldStop
) -> list[float]:
    """For each group the KL divergence of the model with it alone in 4 bits. Raises AppError, Cancelled."""
    found: list[float] = []
    start = time.monotonic()
    report(Progress(Stage.SENSITIVITY, 0, len(groups)))
    for group in groups:
        patch.apply(group, stop)
        found.append(max(0.0, listener.divergence(copy, stop)))
        patch.take_back(group)
        left = (time.monotonic() - start) / len(found) * (len(groups) - len(found))
        report(Progress(Stage.SENSITIVITY, len(found), len(groups), left))
    return found
