"""How many cores other programs use just now: what AdaptiveThreads is told besides its own times."""

from __future__ import annotations

import os
import time

import psutil

_INTERVAL_S = 0.25
_STALE_S = 3.0
"""Longer than a token of a large model, shorter than a person takes to ask again."""
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")
"""Of psutil.cpu_times. Waiting for the disk is not work, and guests are counted in `user` already."""


class BusyNeighbours:
    """Callable: cores in use by all but this process, an average over the last quarter of a second or more."""

    def __init__(self) -> None:
        self._before = _reading()
        self._cores = 0.0

    def __call__(self) -> float:
        """Cores, 0 or more."""
        if time.monotonic() - self._before[0] < _INTERVAL_S:
            return self._cores
        before, now = self._before, _reading()
        self._before = now
        wall_s, busy_s = now[0] - before[0], now[1] - before[1]
        # What was busy between two answers says nothing about now: begin again.
        self._cores = 0.0 if wall_s > _STALE_S else max(0.0, busy_s / wall_s)
        return self._cores


def _reading() -> tuple[float, float]:
    """The clock, and the CPU seconds used by all others since the start of the machine."""
    times, own = psutil.cpu_times(), os.times()
    return time.monotonic(), sum(getattr(times, name, 0.0) for name in _BUSY_FIELDS) - own.user - own.system
