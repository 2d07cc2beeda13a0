"""The speed of this machine: measured in a child when it is wanted, kept, and compared with each real answer."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.engine.messages import AnswerStatistics, MachineSpeed, MeasureMachine, ModelLoaded, StopReason
from app.fit.judgement import ReadProfile
from app.fit.speed import SpeedBook, SpeedError, SpokenAnswer, change_speed_book, predicted_ms, read_speed_book
from app.library.gguf_file import GgufHeader, read_header
from app.system.paths import Paths
from workers.jobs import Job, JobQueue, JobState, JobStatus
from workers.protocol import Failure
from workers.tasks import TaskRunner

_LEAST_TOKENS = 16
"""A shorter answer says little of the speed."""


class SpeedService(QObject):
    """`speed` is None until it has been measured once."""

    changed = Signal()
    """Another speed, or another error of the predictions."""
    failed = Signal(Failure)
    """Failure of a measurement."""

    def __init__(self, paths: Paths, jobs: JobQueue, tasks: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths, self._jobs, self._tasks = paths, jobs, tasks
        self._book = read_speed_book(paths.speed)
        self._job_id = 0

    @property
    def speed(self) -> MachineSpeed | None:
        """The last measurement."""
        return self._book.speed

    @property
    def error(self) -> SpeedError | None:
        """The error of the predictions made from it."""
        return self._book.error

    @property
    def is_measuring(self) -> bool:
        """A measurement waits or runs."""
        return self._job_id != 0

    def measure(self) -> None:
        """Measure, again if need be: about 5 seconds in a job of its own."""
        if not self._job_id:
            handle = self._jobs.add(Job("Measuring this computer’s speed", (MeasureMachine(),)))
            handle.ended.connect(self._on_ended)
            self._job_id = handle.id
            self.changed.emit()

    def put_off(self) -> None:
        """End a measurement that waits or runs: something more important began. It can be asked for again."""
        if self._job_id:
            self._jobs.cancel(self._job_id)

    def record(self, model: ModelLoaded, answer: AnswerStatistics) -> None:
        """Put an answer beside what was predicted of it."""
        speed = self.speed
        if speed is None or answer.new_tokens < _LEAST_TOKENS or answer.stop_reason is StopReason.STOPPED:
            return
        tokens = answer.prompt_tokens + answer.new_tokens // 2
        kv_bytes = int(model.need.kv_bytes * min(1.0, tokens / max(1, model.context_tokens)))

        def on_header(header: GgufHeader) -> None:
            predicted = predicted_ms(ReadProfile.of_header(header), kv_bytes, speed)
            spoken = SpokenAnswer(model.name, predicted, answer.ms_per_token_median)
            self._change(lambda book: book.with_answer(spoken))

        self._tasks.run(read_header, model.path, on_result=on_header, on_error=lambda _failure: None, receiver=self)

    def _on_ended(self, status: JobStatus) -> None:
        self._job_id = 0
        if status.state is JobState.DONE and isinstance(status.result, MachineSpeed):
            speed = status.result
            self._change(lambda book: book.with_speed(speed))
        else:
            self.changed.emit()
            if status.failure is not None:
                self.failed.emit(status.failure)

    def _change(self, change: Callable[[SpeedBook], SpeedBook]) -> None:
        self._book = change(self._book)
        self._tasks.run(change_speed_book, self._paths.speed, change, on_error=self.failed.emit, receiver=self)
        self.changed.emit()
