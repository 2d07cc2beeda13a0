"""What the transcript knows of one message, whether or not there is a widget for it at the moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from app.chat.conversation import MessageState, StoredMessage
from app.engine.messages import Role
from app.engine.reasoning import HARMONY_CHANNEL, MARKS, split_reasoning

if TYPE_CHECKING:
    from ui.chat.message_body import Piece
    from ui.chat.message_widget import MessageWidget


# Reasoning and answer of a text that may still be written: as in `app.engine.reasoning`, but for half a mark.


_OPENING = (*(opening for opening, _ in MARKS), HARMONY_CHANNEL)
_CLOSING = (*(closing for _, closing in MARKS), "<|end|>", "<|start|>")


@dataclass(frozen=True, slots=True)
class Parts:
    """`reasoning` is None where there is none. `share` of the text, 0 to 1, is reasoning."""

    reasoning: str | None
    answer: str
    closed: bool = True
    share: float = 0.0


def split(text: str, live: bool = False) -> Parts:
    """The reasoning and the answer of `text`. A `live` one does not show the beginning of a tag as text."""
    parts = split_reasoning(text)
    if not parts.ended:
        return Parts(_without_partial(parts.reasoning, _CLOSING) if live else parts.reasoning, "", False, 1.0)
    if parts.reasoning:
        return Parts(parts.reasoning, parts.answer, True, 1 - len(parts.answer) / len(text))
    if live and any(tag.startswith(text.strip()) for tag in _OPENING):
        return Parts(None, "")
    return Parts(None, parts.answer)


def _without_partial(text: str, tags: tuple[str, ...]) -> str:
    for start in (text.rfind("<"), text.rfind("[")):
        if start >= 0 and any(tag.startswith(text[start:]) for tag in tags):
            return text[:start]
    return text


_CHARACTER_WIDTH = 6.6
_LINE_HEIGHT = 20
_AROUND = 90
"""Caption, statistics and buttons of a message, for the first guess of its height."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line at a message. `tone` as in the style sheet: "danger", "warning", "notice"."""

    tone: str
    text: str
    again: bool = False


@dataclass(slots=True)
class MessageRow:
    """`live_text` is the text of an answer that is being written, None otherwise."""

    message: StoredMessage
    live_text: str | None = None
    note: Note | None = None
    left_out: str = ""
    progress: str = ""
    actions_enabled: bool = True
    height: int = 0
    measured: bool = False
    reasoning_open: bool = False
    pieces: tuple[Piece, ...] = ()
    """The answer in pieces, each guessed by a draft or not: while this conversation stays open after the answer."""
    widget: MessageWidget | None = None
    _reasoning_since: float | None = None
    _reasoning_ms: float | None = field(default=None)

    @property
    def text(self) -> str:
        """What is shown: the live text where there is one."""
        return self.message.content if self.live_text is None else self.live_text

    @property
    def is_live(self) -> bool:
        return self.live_text is not None

    @property
    def is_answer(self) -> bool:
        return self.message.role is Role.ASSISTANT

    def estimate(self, width: int) -> None:
        """A first guess of the height from the length of the text; the true one comes when it is shown."""
        if not self.measured:
            lines = sum(1 + int(len(line) * _CHARACTER_WIDTH / max(width, 1)) for line in self.text.split("\n"))
            self.height = math.ceil(lines * _LINE_HEIGHT) + _AROUND

    def watch_reasoning(self, parts: Parts) -> None:
        """Take the time that the reasoning of a live answer takes."""
        if parts.reasoning is None and parts.closed:
            return
        if self._reasoning_since is None:
            self._reasoning_since = perf_counter()
        if not parts.closed or self._reasoning_ms is None:
            self._reasoning_ms = (perf_counter() - self._reasoning_since) * 1000

    def reasoning_time(self, parts: Parts) -> tuple[float | None, bool]:
        """How long the model reasoned in ms, and whether that is an estimate from its share of the text."""
        if self._reasoning_ms is not None:
            return self._reasoning_ms, False
        statistics = self.message.statistics
        if statistics is None or not self.text:
            return None, True
        return statistics.decode_ms * parts.share, True

    @property
    def is_interrupted(self) -> bool:
        return self.message.state is MessageState.INTERRUPTED and not self.is_live
