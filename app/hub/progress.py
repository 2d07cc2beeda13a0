"""How far a download is, how fast, how long still: measured over the last seconds, said a few times a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

from app.hub.messages import DownloadPhase, DownloadProgress
from app.operation import Report

_SAY_EVERY_S = 0.25
_WINDOW_S = 8.0
_LEAST_SPAN_S = 0.5


class Meter:
    """Counts bytes of all files of a download, and says so from a thread: also while nothing arrives.

    A context manager. The clock is monotonic: the wall clock may be changed meanwhile.
    """

    def __init__(self, report: Report, total_bytes: int) -> None:
        self._report = report
        self._total = total_bytes
        self._finished = 0
        self._file = 0
        self._phase = DownloadPhase.CONNECTING
        self._sentence = ""
        self._arrived: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="download progress", daemon=True)

    def __enter__(self) -> Meter:
        self._teller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None) -> None:
        self._over.set()
        self._teller.join()

    def skip(self, size_bytes: int) -> None:
        """So much was there before."""
        with self._lock:
            self._finished += size_bytes

    def next_file(self) -> None:
        """The present file is whole."""
        with self._lock:
            self._finished, self._file = self._finished + self._file, 0

    def set_file(self, size_bytes: int) -> None:
        """So much of the present file is there; nothing of it arrived just now."""
        with self._lock:
            self._file = size_bytes
            self._arrived.clear()

    def add(self, size_bytes: int) -> None:
        """So much more has arrived."""
        now = time.monotonic()
        with self._lock:
            self._file += size_bytes
            if self._arrived and now - self._arrived[-1][0] < _SAY_EVERY_S / 5:
                self._arrived[-1] = (self._arrived[-1][0], self._arrived[-1][1] + size_bytes)
            else:
                self._arrived.append((now, size_bytes))

    def say(self, phase: DownloadPhase, sentence: str = "") -> None:
        """Another phase or sentence: a new phase is said at once, a sentence that counts down with the next turn."""
        with self._lock:
            is_new = phase is not self._phase
            self._phase, self._sentence = phase, sentence
            if is_new:
                self._arrived.clear()
        if is_new:
            self._report(self._progress())

    def _tell(self) -> None:
        while not self._over.wait(_SAY_EVERY_S):
            self._report(self._progress())

    def _progress(self) -> DownloadProgress:
        now = time.monotonic()
        with self._lock:
            while self._arrived and now - self._arrived[0][0] > _WINDOW_S:
                self._arrived.popleft()
            span = now - self._arrived[0][0] if self._arrived else 0.0
            speed = sum(size for _, size in self._arrived) / span if span > _LEAST_SPAN_S else 0.0
            done = min(self._finished + self._file, self._total)
            left = (self._total - done) / speed if speed else 0.0
            return DownloadProgress(self._phase, done, self._total, speed, left, self._sentence)
