"""The way from a message to its answer: saved first, then answered, saved again at least once a second and at the end.

One answer is written at a time; others wait here in order, across conversations. Knows no widget.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.chat.conversation import Conversation, MessageState, StoredMessage
from app.chat.store import ChatStore
from app.engine.messages import AnswerStatistics, Generate, Message, PromptReady, StopReason, Token, TokenCount
from app.operation import Progress, Stage
from app.operation_words import STAGE_WORDS
from app.units import grouped
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage
    from workers.engine.client import ChatEngine


SAVE_MS = 800
NO_MODEL = "No model is loaded, so this was not answered. Load one (Ctrl+L), then try again."
_WITHOUT_MODEL = (EngineState.EMPTY, EngineState.CRASHED)


@dataclass(frozen=True, slots=True)
class Question:
    """A message that waits for its answer."""

    conversation_id: str
    message_id: int


@dataclass(slots=True)
class Answer:
    """The answer that is being written. `message` is as it was stored when it began."""

    conversation_id: str
    message: StoredMessage
    text: str = ""
    pieces: list[tuple[str, bool]] = field(default_factory=list)
    """Its text as it came, each piece guessed by a draft or not."""
    statistics: AnswerStatistics | None = None
    unsaved: bool = False


class Answering(QObject):
    """Sends, answers, stops, saves."""

    created = Signal(Conversation)
    """Conversation: a new one is stored, with its first message; `message_added` follows."""
    message_added = Signal(str, object)
    """Conversation id, StoredMessage: the user's message or an answer that begins. It is on the disk."""
    text_changed = Signal(str, int, str)
    """Conversation id, message id, the whole text so far."""
    waiting = Signal(str, int, str)
    """Conversation id, message id, what it waits for; "" for nothing more."""
    prompt_ready = Signal(str, int, object)
    """Conversation id, message id, PromptReady."""
    drafted = Signal(str, int, object)
    """Conversation id, message id, pieces (text, whether a draft guessed it); `finished` follows."""
    finished = Signal(str, object)
    """Conversation id, StoredMessage as it is now."""
    problem = Signal(str, int, str)
    """Conversation id, message id, sentence: after `finished` for an answer, or for a message nothing answers."""
    not_saved = Signal(str, str, str)
    """The user's text, sentence, hint: nothing was sent."""
    trouble = Signal(str, str)
    """Sentence, hint: an answer could not be saved."""
    busy_changed = Signal()

    def __init__(self, engine: ChatEngine, storage: ChatStorage, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._storage = storage
        self._queue: deque[Question] = deque()
        self._beginning: Question | None = None
        self._creating = False
        self.current: Answer | None = None
        self._saver = QTimer(self, interval=SAVE_MS)
        self._saver.timeout.connect(self._save)
        engine.state_changed.connect(self._on_state_changed)
        engine.progress.connect(self._on_progress)
        engine.prompt_ready.connect(self._on_prompt_ready)
        engine.token.connect(self._on_token)
        engine.answer_finished.connect(self._on_answer_finished)
        engine.answer_ended.connect(self._on_answer_ended)

    @property
    def busy(self) -> frozenset[str]:
        """The conversations with an answer that is written or waits."""
        ids = {question.conversation_id for question in self._queue}
        if self._beginning is not None:
            ids.add(self._beginning.conversation_id)
        if self.current is not None:
            ids.add(self.current.conversation_id)
        return frozenset(ids)

    def send(self, conversation_id: str, parent_id: int | None, text: str) -> None:
        """Save what the user wrote, then have it answered."""

        def saved(message: StoredMessage) -> None:
            self.message_added.emit(conversation_id, message)
            self.answer(conversation_id, message.id)

        self._storage.run(
            lambda store: store.add_user_message(conversation_id, parent_id, text),
            saved,
            lambda sentence, hint: self.not_saved.emit(text, sentence, hint),
        )

    def send_first(self, new: Conversation, text: str) -> None:
        """Store a new conversation with its first message, then have that answered. A call meanwhile does nothing."""
        if self._creating:
            return
        self._creating = True

        def create(store: ChatStore) -> tuple[Conversation, StoredMessage]:
            made = store.create(new.system_prompt, new.sampling, new.preset)
            message = store.add_user_message(made.id, None, text)
            return dataclasses.replace(store.get(made.id), path=()), message

        def created(both: tuple[Conversation, StoredMessage]) -> None:
            self._creating = False
            conversation, message = both
            self.created.emit(conversation)
            self.message_added.emit(conversation.id, message)
            self.answer(conversation.id, message.id)

        def failed(sentence: str, hint: str) -> None:
            self._creating = False
            self.not_saved.emit(text, sentence, hint)

        self._storage.run(create, created, failed)

    def answer(self, conversation_id: str, message_id: int) -> None:
        """Answer a message that is stored, now or when it is its turn."""
        self._queue.append(Question(conversation_id, message_id))
        self.busy_changed.emit()
        self._advance()

    def stop(self, conversation_id: str) -> None:
        """Stop the answer of a conversation, or forget that it waits."""
        waiting = [question for question in self._queue if question.conversation_id == conversation_id]
        for question in waiting:
            self._queue.remove(question)
            self.waiting.emit(conversation_id, question.message_id, "")
        if self._beginning is not None and self._beginning.conversation_id == conversation_id:
            self._beginning = None
        if self.current is not None and self.current.conversation_id == conversation_id:
            self._engine.stop()
        self.busy_changed.emit()

    # The order of things

    def _advance(self) -> None:
        """Begin the next answer if the engine is free; say what it waits for if not."""
        if self.current is not None or self._beginning is not None or not self._queue:
            self._say_waiting("Waits until the answer before it is written")
        elif self._engine.state is EngineState.READY:
            self._begin(self._queue.popleft())
        elif self._engine.state in _WITHOUT_MODEL:
            self._give_up()
        elif self._engine.state is EngineState.LOADING:
            self._say_waiting("Waits until the model is ready")

    def _say_waiting(self, words: str) -> None:
        for question in self._queue:
            self.waiting.emit(question.conversation_id, question.message_id, words)

    def _give_up(self) -> None:
        """There is no model: the messages are saved, and can be answered later."""
        questions, self._queue = self._queue, deque()
        for question in questions:
            self.waiting.emit(question.conversation_id, question.message_id, "")
            self.problem.emit(question.conversation_id, question.message_id, NO_MODEL)
        self.busy_changed.emit()

    def _begin(self, question: Question) -> None:
        self._beginning = question
        model = self._engine.model.name if self._engine.model is not None else ""

        def prepare(store: ChatStore) -> tuple[StoredMessage, Conversation]:
            answer = store.begin_answer(question.conversation_id, question.message_id, model)
            return answer, store.get(question.conversation_id)

        self._storage.run(prepare, lambda both: self._generate(question, *both), self._on_not_begun)

    def _generate(self, question: Question, message: StoredMessage, conversation: Conversation) -> None:
        stopped = self._beginning is not question
        if not stopped:
            self._beginning = None
        self.current = Answer(question.conversation_id, message)
        self.waiting.emit(question.conversation_id, question.message_id, "")
        self.message_added.emit(question.conversation_id, message)
        if stopped:
            self._finish("")
            return
        messages = conversation.messages(until=question.message_id)
        self._saver.start()
        self._engine.generate(Generate(question.conversation_id, messages, conversation.sampling))

    def _on_not_begun(self, sentence: str, hint: str) -> None:
        question, self._beginning = self._beginning, None
        if question is not None:
            self.problem.emit(question.conversation_id, question.message_id, f"{sentence} {hint}".strip())
        self.busy_changed.emit()
        self._advance()

    def _finish(self, sentence: str) -> None:
        answer, self.current = self.current, None
        assert answer is not None
        self._saver.stop()
        stopped = answer.statistics is None or answer.statistics.stop_reason is StopReason.STOPPED
        state = MessageState.INTERRUPTED if sentence or stopped else MessageState.COMPLETE
        message = dataclasses.replace(answer.message, content=answer.text, statistics=answer.statistics, state=state)
        self._storage.run(
            lambda store: store.finish_answer(message.id, message.content, message.statistics, state),
            None,
            self.trouble.emit,
        )
        if answer.statistics is not None and answer.statistics.draft_tokens:
            self.drafted.emit(answer.conversation_id, message.id, tuple(answer.pieces))
        self.finished.emit(answer.conversation_id, message)
        if sentence:
            self.problem.emit(answer.conversation_id, message.id, sentence)
        self.busy_changed.emit()
        self._advance()

    def _save(self) -> None:
        if self.current is not None and self.current.unsaved:
            self.current.unsaved = False
            id_, text = self.current.message.id, self.current.text
            self._storage.run(lambda store: store.update_answer(id_, text), None, self.trouble.emit)

    # What the engine says

    def _on_state_changed(self, state: EngineState) -> None:
        self._advance()

    def _on_progress(self, progress: Progress) -> None:
        if self.current is None or self.current.text:
            return
        words = STAGE_WORDS[progress.stage]
        if progress.stage is Stage.PREFILL and progress.total:
            words = f"{words}: {grouped(progress.done)} of {grouped(progress.total)} tokens"
        self.waiting.emit(self.current.conversation_id, self.current.message.id, words)

    def _on_prompt_ready(self, prompt: PromptReady) -> None:
        if self.current is not None:
            self.prompt_ready.emit(self.current.conversation_id, self.current.message.id, prompt)

    def _on_token(self, token: Token) -> None:
        answer = self.current
        if answer is None:
            return
        if token.statistics is not None:
            answer.statistics = token.statistics
        if token.text:
            if not answer.text:
                self.waiting.emit(answer.conversation_id, answer.message.id, "")
            answer.text += token.text
            answer.pieces.append((token.text, token.from_draft))
            answer.unsaved = True
            self.text_changed.emit(answer.conversation_id, answer.message.id, answer.text)

    def _on_answer_finished(self, statistics: AnswerStatistics) -> None:
        if self.current is not None:
            self.current.statistics = statistics

    def _on_answer_ended(self, sentence: str) -> None:
        if self.current is not None:
            self._finish(sentence)


# How full the context would be with the text in the composer: asked of the engine after a pause in typing.


PAUSE_MS = 300


class ContextCount(QObject):
    """Keeps the last count until a new one is known, so that the meter does not flicker."""

    changed = Signal(object, int)
    """Tokens or None while nothing is known, and the size of the context (0 without a model)."""

    def __init__(self, engine: ChatEngine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._messages: tuple[Message, ...] = ()
        self._asked = False
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        engine.token_count.connect(self._on_token_count)
        engine.state_changed.connect(self._on_state_changed)

    def forget(self) -> None:
        """Another conversation: what was counted says nothing about it."""
        self.changed.emit(None, self._context_tokens)

    def count(self, messages: tuple[Message, ...], at_once: bool = False) -> None:
        """These are the messages now."""
        self._messages = messages
        if not messages:
            self._pause.stop()
            self.changed.emit(0, self._context_tokens)
            return
        self._pause.start(0 if at_once else PAUSE_MS)

    @property
    def _context_tokens(self) -> int:
        return self._engine.model.context_tokens if self._engine.model is not None else 0

    def _ask(self) -> None:
        if self._engine.state is EngineState.READY and self._messages:
            self._engine.count_tokens(self._messages)

    def _on_token_count(self, count: TokenCount) -> None:
        if self._messages:
            self.changed.emit(count.tokens, count.context_tokens)

    def _on_state_changed(self, state: EngineState) -> None:
        if state is EngineState.READY:
            self._pause.start()
        elif self._engine.model is None:
            self.changed.emit(None, 0)
