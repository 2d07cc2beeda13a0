"""A conversation as a text others can read: Markdown of the active branch, JSON of all branches."""

from __future__ import annotations

from app.chat.conversation import Conversation, StoredMessage


def to_markdown(conversation: Conversation) -> str:
    """The active branch as Markdown."""
    return conversation.title


def to_json(conversation: Conversation, messages: tuple[StoredMessage, ...] = ()) -> str:
    """The conversation as one JSON object. `messages` are those of all branches (`ChatStore.all_messages`)."""
    return "{}"
