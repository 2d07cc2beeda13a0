"""Memory and processor use of the child, the window and the system, once a second. One sample costs well below 1 ms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.system.hardware import available_memory_bytes, total_memory_bytes

INTERVAL_MS = 1000


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Bytes resident; `available_bytes` can be used without swapping. All zero for a child that is not there.

    `child_cpu_percent` is since the last sample, 100 for one core kept busy.
    """

    total_bytes: int
    available_bytes: int
    child_bytes: int
    window_bytes: int
    child_cpu_percent: float
    jobs_bytes: int = 0
    """The memory of the window's other children: jobs, downloads, plans."""


class MemorySampler(QObject):
    """Samples while it is started. `child_pid` and `job_pids` are asked each time: children come and go."""

    sampled = Signal(MemorySample)
    """MemorySample"""

    def __init__(
        self,
        child_pid: Callable[[], int | None],
        parent: QObject | None = None,
        job_pids: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        """`job_pids` may name the child too: it is counted once."""
        super().__init__(parent)
        self._child_pid, self._job_pids = child_pid, job_pids
        self._window = psutil.Process()
        self._child: psutil.Process | None = None
        self._total_bytes = total_memory_bytes()
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.timeout.connect(self._on_timeout)

    def start(self) -> None:
        """Sample now and then once a second."""
        self._timer.start()
        self._on_timeout()

    def stop(self) -> None:
        """Say nothing more, for example while the panel is hidden."""
        self._timer.stop()

    def sample(self) -> MemorySample:
        """One sample, now."""
        child_bytes, child_cpu_percent = self._sample_child()
        return MemorySample(
            total_bytes=self._total_bytes,
            available_bytes=available_memory_bytes(),
            child_bytes=child_bytes,
            window_bytes=int(self._window.memory_info().rss),
            child_cpu_percent=child_cpu_percent,
            jobs_bytes=sum(_resident_bytes(pid) for pid in set(self._job_pids()) - {self._child_pid()}),
        )

    def _sample_child(self) -> tuple[int, float]:
        pid = self._child_pid()
        try:
            if pid is None:
                self._child = None
                return 0, 0.0
            if self._child is None or self._child.pid != pid:
                self._child = psutil.Process(pid)
            return int(self._child.memory_info().rss), float(self._child.cpu_percent(None))
        except psutil.Error:
            self._child = None  # it ended a moment ago
            return 0, 0.0

    def _on_timeout(self) -> None:
        self.sampled.emit(self.sample())


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0  # it ended a moment ago
