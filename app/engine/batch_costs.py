"""What a batch of n tokens costs on this machine: measured, because it is not smooth, and kept up while answering.

The repacked kernels work in groups of four rows, so that four tokens may cost less than three; a batch is therefore
filled up to the size that is cheapest among those at least as large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median

from app.errors import Cancelled
from app.operation import Progress, Report, ShouldStop, Stage

SIZES = (1, 4, 2, 3, 8, 16, 6, 5, 12, 7, 24, 32)
"""Measured in this order until the time is used up: the sizes that are likely to be good ones first."""

_MUST = 6
"""So many of them are measured whatever it takes."""
_BUDGET_MS = 4000.0
_ROUNDS = 5
_DRIFT = 0.3
_CORRECTION = 0.1
_OUTLIER = 2.5
"""A run this much slower than expected was held up by another program; it counts as if it were only that slow."""


class BatchCosts:
    """Expected ms of a run of the model over n tokens.

    A time is the product of what was measured, of how fast the machine is at the moment (`_pace`), and of what this
    size has shown since: when only one size is used for a while, the others are known to have slowed down with it.
    """

    def __init__(self, measured_ms: Mapping[int, float]) -> None:
        """`measured_ms` by batch size; 1 must be among them."""
        self._measured = dict(measured_ms)
        self._pace = 1.0
        self._own = dict.fromkeys(self._measured, 1.0)
        self._sizes = sorted(self._measured)
        self._filled: list[tuple[float, int]] = []

    @property
    def largest(self) -> int:
        """The largest size whose cost is known."""
        return self._sizes[-1]

    @property
    def plain_ms(self) -> float:
        """The time of one token, as fast as the machine is now."""
        return self._expected(1)

    def filled(self, tokens: int) -> int:
        """The size, `tokens` or more, that costs least. Raises IndexError above the largest."""
        return 1 if tokens <= 1 else self._table()[tokens][1]

    def ms(self, tokens: int) -> float:
        """The time of a batch of `tokens`, filled up."""
        return self._expected(1) if tokens <= 1 else self._table()[tokens][0]

    def observe(self, size: int, ms: float) -> None:
        """Take the time of a run over a batch of `size`, filled up as it was."""
        if size not in self._measured:
            return
        ratio = min(ms, _OUTLIER * self._expected(size)) / self._measured[size]
        self._pace += _DRIFT * (ratio / self._own[size] - self._pace)
        self._own[size] += _CORRECTION * (ratio / self._pace - self._own[size])
        self._filled = []

    def as_plain_ms(self, size: int, ms: float) -> float:
        """What one token would have taken where a batch of `size` took `ms`."""
        return ms * self._expected(1) / self._expected(size)

    def _table(self) -> list[tuple[float, int]]:
        """(ms, size) of the cheapest batch for each number of tokens: asked for dozens of times a step, or never."""
        if not self._filled:
            self._filled = self._cheapest()
        return self._filled

    def _cheapest(self) -> list[tuple[float, int]]:
        best = (float("inf"), 0)
        filled = []
        sizes = self._sizes.copy()
        for tokens in range(self.largest, -1, -1):
            if sizes and sizes[-1] == tokens:
                size = sizes.pop()
                best = min(best, (self._expected(size), size))
            filled.append(best)
        return filled[::-1]

    def _expected(self, size: int) -> float:
        return self._measured[size] * self._pace * self._own[size]


def measure_batches(
    run_ms: Callable[[int], float], largest: int, report: Report, should_stop: ShouldStop
) -> dict[int, float]:
    """Medians of ms by batch size, up to `largest` tokens. `run_ms(n)` runs a batch. Raises Cancelled after a stop.

    Sizes take turns, so that a disturbance falls on all of them. 4 s, or one turn of the first sizes where that takes
    longer.
    """
    times: dict[int, list[float]] = {}
    spent = 0.0
    sizes = [size for size in SIZES if size <= largest]
    run_ms(sizes[-1])
    for turn in range(_ROUNDS):
        for number, size in enumerate(sizes):
            if should_stop():
                raise Cancelled
            if spent >= _BUDGET_MS and (turn or number >= _MUST):
                break
            ms = run_ms(size)
            spent += ms
            times.setdefault(size, []).append(ms)
        report(Progress(Stage.MEASURE_DRAFT, turn + 1, _ROUNDS))
    return {size: median(values) for size, values in times.items()}
