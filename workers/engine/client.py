"""The child that holds the loaded model, as one object for the window: what it does, what it says, how it ends.

One request is with the child at a time; what comes meanwhile waits here, so that nothing has to be called back.
The state is derived from what is going on and never set by hand; it has changed already when another signal says why.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.engine import machine_record
from app.engine.loading_marker import died_in_first_answer, died_in_warm_up, read_marker, safe_mode_notice
from app.engine.messages import (
    AnswerStatistics,
    ConversationOpened,
    CountTokens,
    DraftCheck,
    DraftFigures,
    DraftTrial,
    DraftVerdict,
    Generate,
    LoadModel,
    MeasureThreads,
    Message,
    ModelLoaded,
    OpenConversation,
    PromptReady,
    ThreadCounts,
    Token,
    TokenCount,
    TooLarge,
)
from app.operation import Notice, Progress, Request
from app.system.hardware import total_memory_bytes
from app.system.paths import Paths
from app.system.process_outcome import Ending, ProcessOutcome
from workers.engine.queue import Asked, RequestQueue
from workers.process import ChildProcess
from workers.protocol import End, Failure, Hello, Line, Stop

# What is done when the engine died, and what the user is told. No Qt.


@dataclasses.dataclass(frozen=True, slots=True)
class Rescue:
    """Load again in another way, and say why. The answer that died is asked once more where `again` says so."""

    load: LoadModel
    notice: str
    again: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Death:
    """How the child with this `pid` ended, while it was at `asked`, and what it had been told to load."""

    outcome: ProcessOutcome
    pid: int | None
    asked: Asked
    load: LoadModel
    model: ModelLoaded | None
    has_answered: bool


def rescue(death: Death, paths: Paths) -> Rescue | None:
    """The way out of a death that has one: without a draft that died while it was loaded, or in safe mode."""
    if death.asked.stopped:
        return None
    if not isinstance(death.asked.request, LoadModel):
        if death.asked.is_answer and died_in_first_answer(death.outcome, death.model, death.has_answered):
            # Its kernels had gone well in the warm-up: not for this machine to remember.
            safe = dataclasses.replace(death.load, safe_mode=True)
            return Rescue(safe, safe_mode_notice(death.outcome, remembered=False), again=True)
        return None
    marker = read_marker(paths.loading_marker)
    if marker is not None and marker.pid == death.pid and marker.path == death.load.draft:
        without = dataclasses.replace(death.load, draft=None)
        sentence = f"The draft model {marker.path.stem} made the engine crash. The model is loaded again without it."
        return Rescue(without, sentence)
    if died_in_warm_up(death.outcome, marker, death.pid):
        machine_record.remember_safe_mode(paths.machine, death.outcome.sentence)
        return Rescue(dataclasses.replace(death.load, safe_mode=True), safe_mode_notice(death.outcome))
    return None


def crash_failure(outcome: ProcessOutcome, model: ModelLoaded | None) -> Failure:
    """What happened and what to do; a large model that was killed is told as the likely cause."""
    hint = outcome.hint
    if outcome.is_kill and model is not None and model.need.total_bytes > total_memory_bytes() / 2:
        need, total = model.need.total_bytes / 1e9, total_memory_bytes() / 1e9
        hint = f"The model takes {need:.1f} GB of this computer's {total:.1f} GB. {hint}"
    return Failure(outcome.sentence, hint, outcome.details)


_log = logging.getLogger(__name__)

# What the engine says to the window: its states and its signals.


class EngineState(StrEnum):
    """What the engine is doing. There is a child in all but EMPTY and CRASHED."""

    EMPTY = "empty"
    LOADING = "loading"
    """Loading a model, or measuring thread counts. Requests wait."""
    READY = "ready"
    GENERATING = "generating"
    STOPPING = "stopping"
    CRASHED = "crashed"
    """The child died and nobody had asked it to. No model is loaded."""


class EngineSignals(QObject):
    """The signals of `ChatEngine`."""

    state_changed = Signal(object)  # EngineState
    progress = Signal(Progress)
    model_loaded = Signal(ModelLoaded)
    too_large = Signal(TooLarge)
    """TooLarge: ask the user, and `load` again with `load_anyway`."""
    prompt_ready = Signal(PromptReady)
    token = Signal(Token)
    answer_finished = Signal(AnswerStatistics)
    """AnswerStatistics, also of an answer that was stopped. Followed by `answer_ended`."""
    answer_ended = Signal(str)
    """Empty, or the sentence why the answer did not finish."""
    token_count = Signal(TokenCount)
    conversation_opened = Signal(ConversationOpened)
    threads_measured = Signal(ThreadCounts)
    drafting = Signal(DraftFigures)  # DraftFigures, while an answer is generated
    draft_verdict = Signal(DraftVerdict)
    draft_checked = Signal(DraftCheck)
    trial_ended = Signal()
    """A comparison or check of drafts is over: finished, stopped or failed."""
    failed = Signal(Failure)
    notice = Signal(str)


STOP_GRACE_MS = 2000
"""What the child may take to stop before it is ended."""

SAVE_GRACE_MS = 10_000
"""What saving a conversation's KV cache may take when the model is left."""

_NO_MODEL = "No model is loaded."


class ChatEngine(EngineSignals):
    """The loaded model. Every `generate` ends with exactly one `answer_ended`, in the order they were asked."""

    def __init__(self, paths: Paths, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths = paths
        self._command = command
        self._child: ChildProcess | None = None
        self._pid: int | None = None
        self._queue = RequestQueue()
        self._load_request: LoadModel | None = None
        self._next_load: LoadModel | None = None
        self._model: ModelLoaded | None = None
        self._statistics: AnswerStatistics | None = None
        self._has_answered = False
        self._leaving = False
        self._crashed = False
        self._parting: list[Callable[[], None]] = []
        self._state = EngineState.EMPTY
        self._patience = self._single_shot(self._on_patience_over)
        self._refusal = self._single_shot(self._on_refusal)

    @property
    def state(self) -> EngineState:
        """What the engine is doing."""
        return self._state

    @property
    def model(self) -> ModelLoaded | None:
        """The loaded model; None unless requests can be answered."""
        return self._model

    @property
    def child_pid(self) -> int | None:
        """Process id of the child, for the memory panel."""
        return self._pid

    def load(self, request: LoadModel) -> None:
        """Load a model in a new child, once the present one has stopped, saved its cache and ended."""
        self._next_load, self._crashed, self._parting = request, False, []
        if self._child is None:
            self._start_child()
            self._refresh_state()
        else:
            self._leave()

    def unload(self) -> None:
        """Save the open conversation's cache and end the child. Answers that run or wait are stopped."""
        self._next_load, self._crashed = None, False
        self._queue.stop_waiting_answers()
        if self._child is None:
            self._refresh_state()
        else:
            self._leave()

    def generate(self, request: Generate) -> None:
        """Answer. Waits while a model is loading; an answer or trial that is running or waiting is stopped first."""
        self._queue.stop_waiting_answers()
        if self._queue.running is not None and (self._queue.running.is_answer or self._queue.running.is_trial):
            self._stop_running()
        self._ask(request)

    def stop(self) -> None:
        """Stop what is going on: the load, the prompt, the answer or the measurement, and answers that wait."""
        self._queue.stop_waiting_answers()
        if self._leaving:
            self._next_load = None
        self._stop_running()
        self._refresh_state()

    def open_conversation(self, conversation_id: str) -> None:
        """Save the cache of the conversation that is left, restore this one's. Nothing to do without a model."""
        if self._will_answer:
            self._ask(OpenConversation(conversation_id))

    def count_tokens(self, messages: tuple[Message, ...]) -> None:
        """Count when the child has nothing else to do. Only the latest question is answered, none without a model."""
        if self._will_answer:
            self._queue.count = CountTokens(messages)
            self._advance()

    def measure_threads(self) -> None:
        """Measure the thread counts for the loaded model. Fails without one."""
        if self._will_answer:
            self._ask(MeasureThreads())
        else:
            self.failed.emit(Failure(_NO_MODEL, "Load one on the Models page, then measure."))

    def try_draft(self, request: DraftTrial) -> None:
        """Measure what the draft gains, or prove that it changes nothing. `trial_ended` comes in any case."""
        if self._will_answer:
            self._ask(request)
            return
        self.failed.emit(Failure(_NO_MODEL, "Load one, then try the draft."))
        self.trial_ended.emit()

    def close(self, timeout_ms: int = 5000) -> None:
        """Unload and wait for it, `timeout_ms` at most; then the child is killed. Hide the window first."""
        self.unload()
        until = time.monotonic() + timeout_ms / 1000
        while self._child is not None and time.monotonic() < until:
            self._child.pump(50)
        if self._child is not None:
            self._child.kill()
            self._child.pump(1000)

    @property
    def _will_answer(self) -> bool:
        return self._child is not None and (not self._leaving or self._next_load is not None)

    def _single_shot(self, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    def _ask(self, request: Request) -> None:
        self._queue.add(request)
        if self._child is None:
            self._refusal.start(0)  # not from inside `generate`: the caller is not ready for the answer yet
        self._advance()
        self._refresh_state()

    def _advance(self) -> None:
        """Send the next request, if the child has none."""
        while self._child is not None and self._queue.running is None:
            if self._leaving:
                self._part()
                return
            asked = self._queue.next()
            if asked is None:
                return
            if asked.stopped:
                self.answer_ended.emit("")
            else:
                self._send(asked)

    def _send(self, asked: Asked) -> None:
        assert self._child is not None
        self._queue.run(asked)
        self._statistics = None
        self._child.send(Line(asked.id, asked.request))
        self._refresh_state()

    def _stop_running(self) -> None:
        asked = self._queue.running
        if self._child is None or asked is None or asked.stopped or not asked.can_stop:
            return
        asked.stopped = True
        self._child.send(Line(asked.id, Stop()))
        self._patience.start(STOP_GRACE_MS)
        self._refresh_state()

    def _refresh_state(self) -> None:
        state = self._derive_state()
        if state is not self._state:
            self._state = state
            _log.debug("engine: %s", state)
            self.state_changed.emit(state)

    def _derive_state(self) -> EngineState:
        running = self._queue.running
        if self._child is None:
            return EngineState.CRASHED if self._crashed else EngineState.EMPTY
        if self._leaving and self._next_load is not None and not (running is not None and running.is_answer):
            return EngineState.LOADING
        if self._leaving or (running is not None and running.stopped):
            return EngineState.STOPPING
        if self._model is None or self._queue.wants(MeasureThreads, DraftTrial):
            return EngineState.LOADING
        return EngineState.GENERATING if self._queue.wants(Generate) else EngineState.READY

    def _start_child(self) -> None:
        assert self._next_load is not None
        self._load_request, self._next_load = self._next_load, None
        self._model = None
        self._leaving, self._has_answered, self._crashed = False, False, False
        self._child = ChildProcess(self)
        self._child.line_received.connect(self._on_line)
        self._child.ended.connect(self._on_ended)
        self._child.start_worker(self._paths, self._command)
        self._pid = self._child.pid
        self._send(Asked(self._load_request))

    def _leave(self) -> None:
        """Have the child end in order: stop what runs, save the open conversation's cache, close its stdin."""
        self._leaving, self._queue.count = True, None
        self._stop_running()
        self._advance()
        self._refresh_state()

    def _part(self) -> None:
        assert self._child is not None
        if self._model is None:
            self._child.end()
            return
        self._model = None
        self._patience.start(SAVE_GRACE_MS)
        self._send(Asked(OpenConversation("")))

    def _on_patience_over(self) -> None:
        if self._child is None:
            return
        if self._queue.running is not None and self._queue.running.stopped:
            lost = "" if self._model is None else " Load the model again to go on."
            sentence = f"The engine did not stop within {STOP_GRACE_MS / 1000:g} s and was ended.{lost}"
            self._parting.append(lambda: self.notice.emit(sentence))
        self._child.kill()

    def _on_refusal(self) -> None:
        if self._child is None:
            self._refuse_waiting(_NO_MODEL)

    def _refuse_waiting(self, sentence: str) -> None:
        for asked in self._queue.clear():
            if asked.is_answer:
                self.answer_ended.emit("" if asked.stopped else sentence)
            elif asked.is_trial:
                self.trial_ended.emit()

    def _on_line(self, line: Line) -> None:
        running = self._queue.running
        if isinstance(line.value, Hello):
            self._pid = line.value.pid
        elif running is None or line.id != running.id:
            return
        elif line.end is None:
            self._on_event(line.value)
        else:
            self._queue.finish()
            self._patience.stop()
            self._on_end(running.request, line.end, line.value)
            self._advance()
            self._refresh_state()

    def _on_event(self, event: Any) -> None:
        match event:
            case Token():
                self._has_answered = True
                self._statistics = event.statistics
                self.token.emit(event)
            case Progress():
                self.progress.emit(event)
            case PromptReady():
                self.prompt_ready.emit(event)
            case Notice():
                self.notice.emit(event.sentence)
            case DraftFigures():
                self.drafting.emit(event)

    def _on_end(self, request: Request, end: End, value: Any) -> None:
        match request:
            case LoadModel():
                self._end_load(end, value)
            case Generate():
                self._end_answer(f"{value.sentence} {value.hint}".strip() if end is End.FAILED else "")
                if end is End.FAILED and value.details:
                    self.failed.emit(value)
            case CountTokens():
                # A template that fails would say so at every key; the answer will say it once.
                if end is End.RESULT and self._queue.count is None and not self._leaving:
                    self.token_count.emit(value)
            case _ if isinstance(request, DraftTrial):
                self._end_trial(end, value)
            case _ if end is End.FAILED:
                self.failed.emit(value)
            case OpenConversation() if end is End.RESULT and not self._leaving:
                self.conversation_opened.emit(value)
            case MeasureThreads() if end is End.RESULT:
                self._refresh_state()
                self.threads_measured.emit(value)

    def _end_trial(self, end: End, value: Any) -> None:
        self._refresh_state()
        if end is End.FAILED:
            self.failed.emit(value)
        elif end is End.RESULT:
            (self.draft_verdict if isinstance(value, DraftVerdict) else self.draft_checked).emit(value)
        self.trial_ended.emit()

    def _end_load(self, end: End, value: Any) -> None:
        if end is End.RESULT and isinstance(value, ModelLoaded):
            self._model = value
            self._refresh_state()
            self.model_loaded.emit(value)
            return
        self._leaving = True
        if self._next_load is None and end is not End.CANCELLED:
            signal = self.too_large if isinstance(value, TooLarge) else self.failed
            self._parting = [lambda: self._refuse_waiting(value.sentence), lambda: signal.emit(value)]

    def _end_answer(self, problem: str) -> None:
        statistics, self._statistics = self._statistics, None
        self._refresh_state()
        if statistics is not None:
            self.answer_finished.emit(statistics)
        self.answer_ended.emit(problem)

    def _on_ended(self, outcome: ProcessOutcome) -> None:
        assert self._child is not None
        self._child.deleteLater()
        self._patience.stop()
        self._child = None
        pid, self._pid = self._pid, None
        asked = self._queue.finish()
        if outcome.ending is Ending.STOPPED:
            self._after_planned_end(asked)
        elif (way_out := self._way_out(outcome, pid, asked)) is not None and asked is not None:
            self._take_way_out(way_out, asked)
        else:
            self._after_crash(outcome, asked)

    def _after_planned_end(self, asked: Asked | None) -> None:
        parting, self._parting = self._parting, []
        self._settle_without_child()
        self._end_lost(asked, "")
        for say in parting:
            say()
        if self._child is None:
            self._refuse_waiting(_NO_MODEL)

    def _after_crash(self, outcome: ProcessOutcome, asked: Asked | None) -> None:
        failure = crash_failure(outcome, self._model)
        self._parting = []
        self._crashed = self._next_load is None
        self._settle_without_child()
        self._end_lost(asked, failure.sentence)
        if self._child is None:
            self._refuse_waiting(failure.sentence)
        self.failed.emit(failure)

    def _end_lost(self, asked: Asked | None, problem: str) -> None:
        """End what the child was at when it ended."""
        if asked is not None and asked.is_answer:
            self._end_answer("" if asked.stopped else problem)
        elif asked is not None and asked.is_trial:
            self.trial_ended.emit()

    def _settle_without_child(self) -> None:
        """No child now; a new one where another model is wanted."""
        self._model, self._leaving = None, False
        if self._next_load is not None:
            self._start_child()
        self._refresh_state()

    def _way_out(self, outcome: ProcessOutcome, pid: int | None, asked: Asked | None) -> Rescue | None:
        if asked is None or self._leaving or self._load_request is None:
            return None
        return rescue(Death(outcome, pid, asked, self._load_request, self._model, self._has_answered), self._paths)

    def _take_way_out(self, way_out: Rescue, asked: Asked) -> None:
        if way_out.again:
            self._queue.put_back(asked)
        self._next_load = way_out.load
        self._settle_without_child()
        self.notice.emit(way_out.notice)
