"""Judges models that are not here yet: reads their headers in a thread, has llama.cpp plan their buffers in a child."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.engine.curve import FitCurve
from app.engine.messages import MeasureFit
from app.errors import ConversionError
from app.fit.judgement import (
    CONTEXTS,
    KV_TYPES,
    MADE_TYPES,
    Judgement,
    derived,
    judgement_of,
    refusal,
    relatives,
    to_be_read,
)
from app.hub.repository import ModelFormat, RemoteModel, Repository
from app.hub.transport import Call, Hub
from app.library.gguf_file import GgufHeader
from app.quantize.messages import ConversionPlanned, PlanConversion
from app.system.paths import Paths
from app.system.process_outcome import ProcessOutcome
from workers.process import ChildProcess
from workers.protocol import End, Failure, Line
from workers.tasks import TaskRunner

FIRST_CONTEXTS = (1024, 4096)
IDLE_MS = 60_000
"""How long the child is kept for the next question."""


@dataclass(frozen=True, slots=True)
class _Question:
    repository: Repository
    model: RemoteModel
    header: GgufHeader
    path: Path
    is_first: bool = True
    """Two points are asked for first, so that the verdict is there at once; then the whole curve, for the slider."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A question about original weights: what would come of converting them."""

    repository: Repository
    model: RemoteModel
    path: Path


class Fits(QObject):
    """One repository at a time: opening another cuts off what is still being read of the last."""

    judged = Signal(str, object)
    """Repository id, Judgement. Of one file first, then of its other quantizations; again with more points.
    Of original weights one for each type that would be made, or a refusal."""
    failed = Signal(str, str, object)
    """Repository id, `RemoteModel.key`, Failure: the header could not be read. `judged` does not follow."""

    def __init__(
        self,
        paths: Paths,
        tasks: TaskRunner,
        hub: Callable[[], Hub],
        command: Sequence[str] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """`hub` is called in a thread: its token may come from a keyring."""
        super().__init__(parent)
        self._paths, self._tasks, self._hub = paths, tasks, hub
        self._command = command
        self._child: ChildProcess | None = None
        self._waiting: dict[int, _Question | _Folder] = {}
        self._last_id = 0
        self._call = Call()
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._end_child)

    def warm_up(self) -> None:
        """Start the child, so that the first verdict does not wait for it."""
        self._idle.start()
        if self._child is None:
            self._child = ChildProcess(self)
            self._child.line_received.connect(self._on_line)
            self._child.ended.connect(self._on_ended)
            self._child.start_worker(self._paths, self._command)

    def judge_all(self, repository: Repository) -> None:
        """Judge all models of a repository; of each family one header is read, the smallest file's."""
        self.cancel()
        for model in to_be_read(repository):
            self.judge(repository, model)

    def judge(self, repository: Repository, model: RemoteModel) -> None:
        """Judge one model by its own header, and its relatives by it."""
        call = self._call
        is_gguf = model.format is ModelFormat.GGUF
        function: Callable[[Repository, RemoteModel, Call], _Question | _Folder]
        function = self._read_gguf if is_gguf else self._read_safetensors
        self.warm_up()
        self._tasks.run(
            function,
            repository,
            model,
            call,
            on_result=partial(self._on_read, call, repository, model),
            on_error=partial(self._on_unread, call, repository, model),
            receiver=self,
        )

    def cancel(self) -> None:
        """What is still being read is not wanted any more."""
        self._call.cancel()
        self._call = Call()
        self._waiting.clear()

    def close(self) -> None:
        """Close it for the end of the program."""
        self.cancel()
        self._idle.stop()
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    def _read_gguf(self, repository: Repository, model: RemoteModel, call: Call) -> _Question:
        from app.hub.remote import fetch_stub

        stub = fetch_stub(self._hub(), repository, model, self._paths.headers, call)
        return _Question(repository, model, stub.header, stub.path)

    def _read_safetensors(self, repository: Repository, model: RemoteModel, call: Call) -> _Folder:
        from app.hub.original import fetch_sparse_folder

        sparse = fetch_sparse_folder(self._hub(), repository, model, self._paths.headers, call)
        return _Folder(repository, model, sparse.path)

    def _on_read(self, call: Call, repository: Repository, model: RemoteModel, result: _Question | _Folder) -> None:
        if call is self._call:
            self._ask(result)

    def _ask(self, question: _Question | _Folder) -> None:
        self.warm_up()
        assert self._child is not None
        self._last_id += 1
        self._waiting[self._last_id] = question
        if isinstance(question, _Folder):
            # All points at once: the vocabulary, which takes longest, is read only once in this way.
            self._child.send(Line(self._last_id, PlanConversion(question.path, MADE_TYPES, CONTEXTS, KV_TYPES)))
            return
        contexts = FIRST_CONTEXTS if question.is_first else CONTEXTS
        self._child.send(Line(self._last_id, MeasureFit(question.path, contexts, KV_TYPES)))

    def _on_unread(self, call: Call, repository: Repository, model: RemoteModel, failure: Failure) -> None:
        if call is self._call:
            self.failed.emit(repository.id, model.key, failure)

    def _on_line(self, line: Line) -> None:
        if line.end is None or (question := self._waiting.pop(line.id, None)) is None:
            return
        if isinstance(question, _Folder):
            self._on_planned(question, line)
        elif line.end is End.RESULT and isinstance(line.value, FitCurve):
            self._tell(question, judgement_of(question.model.key, question.header, line.value))
            if question.is_first:
                self._ask(dataclasses.replace(question, is_first=False))
        elif line.end is End.FAILED:
            self._tell(question, Judgement(question.model.key, problem=line.value.sentence))

    def _on_planned(self, folder: _Folder, line: Line) -> None:
        identity, key = folder.repository.id, folder.model.key
        if line.end is End.RESULT and isinstance(line.value, ConversionPlanned):
            for judgement in line.value.judgements(key):
                self.judged.emit(identity, judgement)
        elif line.end is End.FAILED and line.value.kind == ConversionError.__name__:
            self.judged.emit(identity, refusal(key, f"{line.value.sentence} {line.value.hint}".strip()))
        elif line.end is End.FAILED:
            self.failed.emit(identity, key, line.value)

    def _tell(self, question: _Question, judgement: Judgement) -> None:
        identity = question.repository.id
        self.judged.emit(identity, judgement)
        for other in relatives(question.model, question.repository.models):
            self.judged.emit(identity, derived(judgement, question.model, other))

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        """A header that llama.cpp dies of is a model that it cannot load."""
        assert self._child is not None
        self._child.deleteLater()
        self._child = None
        waiting, self._waiting = self._waiting, {}
        for question in waiting.values():
            problem = f"The engine cannot plan this model: {outcome.sentence}"
            if isinstance(question, _Folder):
                self.failed.emit(question.repository.id, question.model.key, Failure(problem, outcome.hint))
            else:
                self._tell(question, Judgement(question.model.key, problem=problem))

    def _end_child(self) -> None:
        if self._child is not None and not self._waiting:
            self._child.end()
