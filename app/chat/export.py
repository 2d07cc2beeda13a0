"""A conversation as a text others can read: Markdown of the active branch, JSON of all branches.

The JSON object has the keys
    format          "bantam-conversation"
    version         1
    id, title, system_prompt, preset    texts
    sampling        the fields of `app.engine.messages.Sampling`
    active_branch   ids of the messages that are shown, from the first to the last
    messages        of all branches in the order they were written, each with
        id, parent_id (null for a first message), role ("user", "assistant"), content, model,
        created_at (ISO 8601, UTC), state ("complete", "streaming", "interrupted"),
        statistics (the fields of `app.engine.messages.AnswerStatistics`, or null)
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from app.chat.conversation import Conversation, MessageState, StoredMessage
from app.engine.messages import Role
from app.engine.reasoning import split_reasoning

FORMAT = "bantam-conversation"
VERSION = 1

_HEADINGS = {Role.USER: "You", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}


def to_markdown(conversation: Conversation) -> str:
    """The active branch, a heading for each message. Texts are as they are, only reasoning is folded in <details>."""
    sections = [f"# {conversation.title}"]
    if conversation.system_prompt.strip():
        sections.append(f"## {_HEADINGS[Role.SYSTEM]}\n\n{conversation.system_prompt.strip()}")
    sections += [_section(message) for message in conversation.path]
    return "\n\n".join(sections) + "\n"


def to_json(conversation: Conversation, messages: tuple[StoredMessage, ...] = ()) -> str:
    """One JSON object with the keys above. `messages` are those of all branches (`ChatStore.all_messages`)."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        "id": conversation.id,
        "title": conversation.title,
        "system_prompt": conversation.system_prompt,
        "preset": conversation.preset,
        "sampling": dataclasses.asdict(conversation.sampling),
        "active_branch": [message.id for message in conversation.path],
        "messages": [_plain(message) for message in messages or conversation.path],
    }
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _section(message: StoredMessage) -> str:
    heading = f"## {_HEADINGS[message.role]}" + (f" ({message.model_name})" if message.model_name else "")
    content = _folded(message.content) if message.role is Role.ASSISTANT else message.content
    end = "" if message.state is MessageState.COMPLETE else "\n\n*(interrupted)*"
    return f"{heading}\n\n{content.strip(chr(10))}{end}"


def _folded(content: str) -> str:
    parts = split_reasoning(content)
    if not parts.reasoning.strip():
        return parts.answer
    inner = parts.reasoning.replace("</details>", "&lt;/details>")
    return f"<details>\n<summary>Reasoning</summary>\n\n{inner}\n\n</details>\n\n{parts.answer}"


def _plain(message: StoredMessage) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(message.created_at, datetime.UTC)
    return {
        "id": message.id,
        "parent_id": message.parent_id,
        "role": message.role.value,
        "content": message.content,
        "model": message.model_name,
        "created_at": created.isoformat(timespec="milliseconds"),
        "state": message.state.value,
        "statistics": None if message.statistics is None else dataclasses.asdict(message.statistics),
    }
