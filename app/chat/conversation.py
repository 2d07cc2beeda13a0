"""What a conversation is: a tree of messages with one active branch. Frozen values without behaviour of the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.engine.messages import AnswerStatistics, Message, Role, Sampling
from app.engine.reasoning import answer_message

UNTITLED = "New chat"
TITLE_LENGTH = 60


class MessageState(StrEnum):
    """Whether the text of a message is all there is."""

    COMPLETE = "complete"
    STREAMING = "streaming"
    """The answer is being written."""
    INTERRUPTED = "interrupted"
    """The user stopped it, or the program ended while it was written."""


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A row of the list. `updated_at` is seconds since 1970; `snippet` is one plain line around a search hit."""

    id: str
    title: str
    updated_at: float
    model_name: str
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the tree. `parent_id` None is a first message; `created_at` is seconds since 1970.

    `sibling_ids` are the messages with the same parent in the order they were written, this one among them:
    (7,) is alone, and in (7, 9, 12) message 9 is "2 of 3".
    """

    id: int
    parent_id: int | None
    role: Role
    content: str
    created_at: float
    model_name: str = ""
    state: MessageState = MessageState.COMPLETE
    statistics: AnswerStatistics | None = None
    sibling_ids: tuple[int, ...] = ()

    @property
    def sibling_number(self) -> int:
        """Which of its siblings this is, from 1."""
        return self.sibling_ids.index(self.id) + 1 if self.id in self.sibling_ids else 1


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with its active branch, first message to last. `preset` is "" for own sampling values."""

    id: str
    title: str
    system_prompt: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    preset: str = ""
    path: tuple[StoredMessage, ...] = ()

    @property
    def leaf_id(self) -> int | None:
        """The last message of the active branch: the parent of what is written next."""
        return self.path[-1].id if self.path else None

    def messages(self, until: int | None = None) -> tuple[Message, ...]:
        """What the model is sent: the system prompt, then the branch up to and with the message `until` (None: all).

        Answers without text are left out: chat templates refuse or mangle empty turns. An answer's reasoning goes
        apart from it.
        """
        system = (Message(Role.SYSTEM, self.system_prompt),) if self.system_prompt.strip() else ()
        return system + tuple(sent for m in self._up_to(until) if (sent := _as_sent(m)).content.strip())

    def path_until(self, message_id: int | None) -> tuple[StoredMessage, ...]:
        """The branch up to and with this message; nothing where it is not in it."""
        ids = [message.id for message in self.path]
        return self.path[: ids.index(message_id) + 1] if message_id in ids else ()

    def asked_last(self) -> tuple[tuple[Message, ...], Sampling]:
        """What the model was sent for its last answer, empty before the first, and the sampling."""
        asked = next((message.id for message in reversed(self.path) if message.role is Role.USER), None)
        return (self.messages(until=asked) if asked is not None else ()), self.sampling

    def _up_to(self, until: int | None) -> tuple[StoredMessage, ...]:
        return self.path_until(until) or self.path


def _as_sent(message: StoredMessage) -> Message:
    if message.role is not Role.ASSISTANT:
        return Message(message.role, message.content)
    return answer_message(message.content)


def title_from(text: str) -> str:
    """A title for a conversation from its first message: the first line with words, shortened at a word."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), UNTITLED)
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH]
    return (cut.rsplit(" ", 1)[0] if " " in cut[TITLE_LENGTH // 2 :] else cut).rstrip() + "…"
