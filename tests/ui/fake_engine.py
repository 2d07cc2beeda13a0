"""A ChatEngine without a child: the same signals and methods, and a queue of answers that play token by token.

    engine = FakeEngine()                       # loaded: engine = FakeEngine(loaded=SAMPLE_MODEL)
    engine.answers.append(Answer(("Hel", "lo")))
    engine.generate(request)                    # plays by itself on the event loop
    engine.hold = True; ...; engine.step()      # or one token at a time, under the test's control

Every call is kept in `calls` as (method name, arguments). `load_outcomes` is the queue for load: ModelLoaded,
TooLarge or Failure; an empty queue loads SAMPLE_MODEL.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from app.engine.messages import (
    AnswerStatistics,
    ConversationOpened,
    DraftTrial,
    Generate,
    LoadModel,
    MemoryNeed,
    Message,
    ModelLoaded,
    PromptReady,
    StopReason,
    ThreadCounts,
    Token,
    TokenCount,
    TooLarge,
)
from app.operation import Progress, Stage
from workers.engine.client import EngineSignals, EngineState
from workers.protocol import Failure

SAMPLE_MODEL = ModelLoaded(
    path=Path("/models/qwen/Qwen3-1.7B-Q4_K_M.gguf"),
    name="Qwen3 1.7B",
    architecture="qwen3",
    quantization="Q4_K_M",
    parameters=1_720_000_000,
    context_tokens=4096,
    trained_context_tokens=40960,
    has_chat_template=True,
    need=MemoryNeed(weights_bytes=1_107_000_000, kv_bytes=470_000_000, compute_bytes=311_000_000),
    threads=ThreadCounts(decode=2, prefill=2),
    safe_mode=False,
    load_ms=812.0,
)

SAMPLE_STATISTICS = AnswerStatistics(
    prompt_tokens=830,
    reused_tokens=812,
    new_tokens=3,
    draft_tokens=0,
    time_to_first_token_ms=241.0,
    prefill_ms=198.0,
    decode_ms=260.0,
    ms_per_token_median=86.0,
    ms_per_token_p95=97.0,
    tokens_per_second=11.6,
    stop_reason=StopReason.END,
    seed=42,
)


@dataclass
class Answer:
    """What the fake says next. `problem` is the sentence of an answer that does not finish."""

    tokens: tuple[str, ...] = ("Yes", ".")
    ms: float = 86.0
    prompt_tokens: int = 830
    reused_tokens: int = 812
    left_out_messages: int = 0
    problem: str = ""
    statistics: AnswerStatistics = field(default=SAMPLE_STATISTICS)


class FakeEngine(EngineSignals):
    def __init__(self, parent: QObject | None = None, loaded: ModelLoaded | None = None) -> None:
        super().__init__(parent)
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: deque[Answer] = deque()
        self.load_outcomes: deque[ModelLoaded | TooLarge | Failure] = deque()
        self.hold = False
        self.child_pid: int | None = None
        self.model: ModelLoaded | None = loaded
        self.state = EngineState.READY if loaded else EngineState.EMPTY
        self._left: deque[str] = deque()
        self._answer: Answer | None = None
        self._request: LoadModel | None = None
        self._clock = QTimer(self, interval=0)
        self._clock.timeout.connect(self.step)

    def load(self, request: LoadModel) -> None:
        self.calls.append(("load", (request,)))
        self._request, self.model = request, None
        self.change(EngineState.LOADING)
        self.start()

    def unload(self) -> None:
        self.calls.append(("unload", ()))
        self.model = None
        self.change(EngineState.EMPTY)

    def generate(self, request: Generate) -> None:
        self.calls.append(("generate", (request,)))
        answer = self.answers.popleft() if self.answers else Answer()
        self._answer, self._left = answer, deque(answer.tokens)
        self.change(EngineState.GENERATING)
        self.progress.emit(Progress(Stage.PREFILL, 0, answer.prompt_tokens - answer.reused_tokens))
        context = self.model.context_tokens if self.model else 4096
        self.prompt_ready.emit(
            PromptReady(answer.prompt_tokens, answer.reused_tokens, answer.left_out_messages, context)
        )
        self.start()

    def stop(self) -> None:
        self.calls.append(("stop", ()))
        if self.state is EngineState.LOADING:
            self._clock.stop()
            self.change(EngineState.EMPTY)
        elif self._answer is not None:
            self.change(EngineState.STOPPING)
            self._left.clear()
            self._answer = dataclasses.replace(
                self._answer,
                statistics=dataclasses.replace(self._answer.statistics, stop_reason=StopReason.STOPPED),
            )
            self.start()

    def open_conversation(self, conversation_id: str) -> None:
        self.calls.append(("open_conversation", (conversation_id,)))
        self.conversation_opened.emit(ConversationOpened(conversation_id, 0))

    def count_tokens(self, messages: tuple[Message, ...]) -> None:
        self.calls.append(("count_tokens", (messages,)))
        tokens = sum(len(message.content) // 4 + 4 for message in messages)
        self.token_count.emit(TokenCount(tokens, self.model.context_tokens if self.model else 4096))

    def measure_threads(self) -> None:
        self.calls.append(("measure_threads", ()))
        if not self.hold:
            self.threads_measured.emit(ThreadCounts(2, 2))

    def try_draft(self, request: DraftTrial) -> None:
        """The test says what comes of it: `draft_verdict`, `draft_checked`, `trial_ended`."""
        self.calls.append(("try_draft", (request,)))

    def close(self) -> None:
        self.calls.append(("close", ()))
        self._clock.stop()

    def step(self) -> None:
        """One step of what is going on: the load ends, or one more token comes, or the answer ends."""
        if self.state is EngineState.LOADING:
            self._end_load()
        elif self._answer is not None and self._left:
            self._say(self._left.popleft(), last=not self._left)
        elif self._answer is not None:
            self._end_answer()
        else:
            self._clock.stop()

    def crash(self, sentence: str = "The engine was ended by SIGKILL.", hint: str = "Load the model again.") -> None:
        """The child dies now."""
        self._clock.stop()
        self.model, answer, self._answer = None, self._answer, None
        self.change(EngineState.CRASHED)
        if answer is not None:
            self.answer_ended.emit(sentence)
        self.failed.emit(Failure(sentence, hint, "details"))

    def _say(self, text: str, last: bool) -> None:
        assert self._answer is not None
        statistics = self._answer.statistics if last and not self._answer.problem else None
        self.token.emit(Token(text, self._answer.ms, False, statistics))

    def _end_answer(self) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        self._clock.stop()
        self.change(EngineState.READY)
        if not answer.problem:
            self.answer_finished.emit(answer.statistics)
        self.answer_ended.emit(answer.problem)

    def _end_load(self) -> None:
        self._clock.stop()
        assert self._request is not None
        outcome = self.load_outcomes.popleft() if self.load_outcomes else SAMPLE_MODEL
        if isinstance(outcome, ModelLoaded):
            self.model = dataclasses.replace(outcome, path=self._request.path)
            self.change(EngineState.READY)
            self.model_loaded.emit(self.model)
            return
        self.change(EngineState.EMPTY)
        self.too_large.emit(outcome) if isinstance(outcome, TooLarge) else self.failed.emit(outcome)

    def start(self) -> None:
        if not self.hold:
            self._clock.start()

    def change(self, state: EngineState) -> None:
        if state is not self.state:
            self.state = state
            self.state_changed.emit(state)
