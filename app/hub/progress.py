"""How far a download is, how fast, how long still: measured over the last seconds, said a few times a second."""

from __future__ import annotations

import time
from collections import deque

from app.events import DownloadPhase, DownloadProgress, Report

_SAY_EVERY_S = 0.2
_WINDOW_S = 8.0


class Meter:
    """Counts bytes of all files of a download. The clock is monotonic: the wall clock may be changed meanwhile."""

    def __init__(self, report: Report, total_bytes: int) -> None:
        self._report = report
        self._total = total_bytes
        self._finished = 0
        self._file = 0
        self._said = -1.0
        self._phase = DownloadPhase.CONNECTING
        self._sentence = ""
        self._arrived: deque[tuple[float, int]] = deque()

    def skip(self, size_bytes: int) -> None:
        """So much was there before."""
        self._finished += size_bytes

    def next_file(self) -> None:
        """The present file is whole."""
        self._finished += self._file
        self._file = 0

    def set_file(self, size_bytes: int) -> None:
        """So much of the present file is there; nothing of it arrived just now."""
        self._file = size_bytes
        self._arrived.clear()

    def add(self, size_bytes: int) -> None:
        """So much more has arrived."""
        self._file += size_bytes
        now = time.monotonic()
        self._arrived.append((now, size_bytes))
        if now - self._said >= _SAY_EVERY_S:
            self._emit(now)

    def say(self, phase: DownloadPhase, sentence: str = "") -> None:
        """Another phase or sentence: said at once, the same one again only from time to time."""
        now = time.monotonic()
        if phase is not DownloadPhase.DOWNLOADING:
            self._arrived.clear()
        if (phase, sentence) != (self._phase, self._sentence) or now - self._said >= _SAY_EVERY_S:
            self._phase, self._sentence = phase, sentence
            self._emit(now)

    def _emit(self, now: float) -> None:
        self._said = now
        while self._arrived and now - self._arrived[0][0] > _WINDOW_S:
            self._arrived.popleft()
        span = now - self._arrived[0][0] if self._arrived else 0.0
        speed = sum(size for _, size in self._arrived) / span if span > 0.5 else 0.0
        done = min(self._finished + self._file, self._total)
        left = (self._total - done) / speed if speed else 0.0
        self._report(DownloadProgress(self._phase, done, self._total, speed, left, self._sentence))
