"""Shows in the transcript what happens to the answers of the conversation that is open."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from app.engine.messages import PromptReady
from ui.chat import words as chat_words
from ui.chat.guessed_view import Piece
from ui.chat.message_row import Note
from ui.chat.transcript import Transcript
from workers.answering import Answering


class LiveAnswer(QObject):
    """Between Answering and the transcript. `open_id` tells which conversation is shown."""

    def __init__(
        self, answering: Answering, transcript: Transcript, open_id: Callable[[], str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._transcript, self._open_id = transcript, open_id
        answering.text_changed.connect(self._on_text)
        answering.waiting.connect(self._on_waiting)
        answering.prompt_ready.connect(self._on_prompt_ready)
        answering.drafted.connect(self._on_drafted)
        answering.problem.connect(self._on_problem)

    def _on_text(self, conversation_id: str, message_id: int, text: str) -> None:
        if conversation_id == self._open_id():
            self._transcript.stream(message_id, text)

    def _on_drafted(self, conversation_id: str, message_id: int, pieces: tuple[Piece, ...]) -> None:
        row = self._transcript.row(message_id) if conversation_id == self._open_id() else None
        if row is not None:
            row.pieces = pieces  # seen when `finished`, which follows, refreshes the message

    def _on_problem(self, conversation_id: str, message_id: int, sentence: str) -> None:
        if conversation_id == self._open_id():
            self._transcript.set_note(message_id, Note("danger", sentence, again=True))

    def _on_waiting(self, conversation_id: str, message_id: int, words: str) -> None:
        row = self._transcript.row(message_id) if conversation_id == self._open_id() else None
        if row is not None and row.is_answer:
            self._transcript.set_progress(message_id, words)
        elif row is not None:
            self._transcript.set_note(message_id, Note("notice", words) if words else None)

    def _on_prompt_ready(self, conversation_id: str, message_id: int, prompt: PromptReady) -> None:
        if conversation_id == self._open_id():
            words = chat_words.left_out_line(prompt.left_out_messages, prompt.context_tokens)
            self._transcript.set_left_out(message_id, words)
