"""One child process that speaks the protocol: the only wrapper of QProcess.

Lines are decoded in short slices between turns of the event loop, so that a flood of them never holds up the window.
`ended` comes last, after every line, exactly once for each `start`.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from app.engine.environment import engine_environment
from app.system.frozen import program
from app.system.paths import Paths
from app.system.process_outcome import Ending, ProcessOutcome
from workers.protocol import Failure, Hello, Line, ProtocolError, decode, encode

_log = logging.getLogger(__name__)

SLICE_MS = 4.0
"""Longest time lines are delivered in one turn of the event loop."""

END_GRACE_MS = 2000
"""What a child that was told to end may take before it is killed."""

_STDERR_TAIL_BYTES = 16_384
_LONGEST_LINE_BYTES = 64 * 1024 * 1024


def worker_command() -> tuple[str, ...]:
    """Program and arguments of Bantam's own child; in a bundle the program is Bantam itself."""
    return (*program("-X", "faulthandler", "-u"), "--worker")


class ChildProcess(QObject):
    """A child that reads requests from its stdin and writes events to its stdout."""

    line_received = Signal(Line)
    """Line"""
    ended = Signal(ProcessOutcome)
    """ProcessOutcome"""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._on_stdout)
        self._process.readyReadStandardError.connect(self._on_stderr)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)
        self._lines: deque[bytes] = deque()
        self._half_line = bytearray()
        self._stderr = bytearray()
        self._told_to_end = False
        self._outcome: ProcessOutcome | None = None
        self._pid_started: int | None = None
        self._event_counts: dict[int, Counter[str]] = {}
        """How often each type of event has come, for each request that has not ended."""
        self._next_slice = self._single_shot(0, self._deliver_slice)
        self._grace = self._single_shot(END_GRACE_MS, self.kill)

    @property
    def pid(self) -> int | None:
        """The process id, None while there is no process."""
        return self._process.processId() or None

    @property
    def is_running(self) -> bool:
        """True from `start` until the process is gone; its last lines may still be on their way then."""
        return self._process.state() is not QProcess.ProcessState.NotRunning

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start `command` (program first) with `environment` on top of ours. A failure to start arrives as `ended`."""
        self._told_to_end = False
        self._process.setProcessEnvironment(_environment(environment or {}))
        self._process.start(command[0], list(command[1:]))
        self._pid_started = self.pid
        self._event_counts.clear()
        _log.debug("child %s started", self._pid_started)

    def start_worker(self, paths: Paths, command: Sequence[str] | None = None) -> None:
        """Start Bantam's own child on this data folder; `command` in its place for tests."""
        self.start(command or worker_command(), {"BANTAM_HOME": str(paths.home)})

    def send(self, line: Line) -> None:
        """Queue a line for the child. Never blocks; says nothing if the child is gone, `ended` does."""
        if self.is_running:
            self._process.write(encode(line))
            _log.debug("child %s is asked %d %s", self._pid_started, line.id, type(line.value).__name__)

    def end(self, grace_ms: int | None = None) -> None:
        """Close the child's stdin, which tells it to end, and kill it where it takes longer than `grace_ms`."""
        self._told_to_end = True
        self._process.closeWriteChannel()
        if self.is_running:
            self._grace.start(END_GRACE_MS if grace_ms is None else grace_ms)

    def kill(self) -> None:
        """End the child at once, in whatever it is doing."""
        self._told_to_end = True
        self._process.kill()

    def pump(self, wait_ms: int) -> None:
        """Wait up to `wait_ms` for the child and deliver all there is. Blocks: only for the end of the program."""
        if self.is_running:
            self._process.waitForReadyRead(wait_ms)
        self._deliver(float("inf"))

    def _single_shot(self, interval_ms: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        timer.timeout.connect(slot)
        return timer

    def _on_stdout(self) -> None:
        data = bytes(self._process.readAllStandardOutput().data())
        head, newline, tail = data.rpartition(b"\n")
        if newline:
            self._lines.extend((bytes(self._half_line) + head).split(b"\n"))
            self._half_line.clear()
        self._half_line += tail
        if len(self._half_line) > _LONGEST_LINE_BYTES:
            self._note_unreadable(bytes(self._half_line[:200]))
            self._half_line.clear()
        self._schedule()

    def _on_stderr(self) -> None:
        self._stderr += self._process.readAllStandardError().data()
        del self._stderr[:-_STDERR_TAIL_BYTES]

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._settle(ProcessOutcome(Ending.NOT_STARTED, system_error=self._process.errorString().rstrip(".")))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._on_stderr()
        self._on_stdout()
        if self._half_line:
            self._note_unreadable(bytes(self._half_line[:200]))
        crashed = status is QProcess.ExitStatus.CrashExit
        ending = Ending.STOPPED if self._told_to_end else Ending.CRASHED if crashed else Ending.EXITED
        self._settle(ProcessOutcome(ending, code))

    def _settle(self, outcome: ProcessOutcome) -> None:
        self._grace.stop()
        self._half_line.clear()
        self._outcome = outcome
        self._schedule()

    def _schedule(self) -> None:
        if not self._next_slice.isActive() and (self._lines or self._outcome):
            self._next_slice.start()

    def _deliver_slice(self) -> None:
        self._deliver(SLICE_MS)

    def _deliver(self, limit_ms: float) -> None:
        until = time.perf_counter() + limit_ms / 1000
        while self._lines:
            self._deliver_line(self._lines.popleft())
            if time.perf_counter() >= until:
                break
        if self._lines:
            self._schedule()
        elif self._outcome is not None:
            details = self._stderr.decode("utf-8", "replace").strip()
            outcome, self._outcome = dataclasses.replace(self._outcome, details=details), None
            self._stderr.clear()
            self._next_slice.stop()
            _log.debug("child %s: %s, code %d", self._pid_started, outcome.ending.name.lower(), outcome.code)
            self.ended.emit(outcome)

    def _deliver_line(self, raw: bytes) -> None:
        try:
            line = decode(raw)
        except ProtocolError:
            self._note_unreadable(raw[:200])
        else:
            if _log.isEnabledFor(logging.DEBUG):
                self._log_line(line)
            self.line_received.emit(line)

    def _log_line(self, line: Line) -> None:
        """Types and numbers only: the values hold what the user and the model write."""
        name = type(line.value).__name__
        if line.end is None and not isinstance(line.value, Hello):
            self._event_counts.setdefault(line.id, Counter())[name] += 1
            return
        counts = self._event_counts.pop(line.id, Counter())
        events = ", ".join(f"{count} {event}" for event, count in counts.items()) or "no events"
        end = line.end.value if line.end is not None else "is ready"
        kind = line.value.kind or "a sentence" if isinstance(line.value, Failure) else name
        _log.debug("child %s says of %d: %s, %s, after %s", self._pid_started, line.id, end, kind, events)

    def _note_unreadable(self, raw: bytes) -> None:
        _log.debug("child %s: a line that is not of the protocol", self._pid_started)
        self._stderr += b"[not a line of the protocol] " + raw + b"\n"


def _environment(additions: Mapping[str, str]) -> QProcessEnvironment:
    environment = QProcessEnvironment.systemEnvironment()
    for name, value in ({"PYTHONUTF8": "1"} | engine_environment()).items():
        if not environment.contains(name):
            environment.insert(name, value)
    for name, value in additions.items():
        environment.insert(name, value)
    return environment
