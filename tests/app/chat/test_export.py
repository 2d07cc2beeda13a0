"""Exports: Markdown others can read, JSON with everything."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.chat.conversation import Conversation, MessageState
from app.chat.export import to_json, to_markdown
from app.chat.store import ChatStore
from app.engine.messages import AnswerStatistics
from app.engine.reasoning import Parts, split_reasoning

Say = Callable[..., Conversation]


def test_markdown_has_a_heading_by_role_and_leaves_code_alone(store: ChatStore, say: Say) -> None:
    code = "```python\nif x < 3 and '<think>' in y:\n    print(\"# not a heading\")\n```"
    conversation = say(store, "How?", code)
    store.set_system_prompt(conversation.id, "Be brief.")
    text = to_markdown(store.get(conversation.id))
    assert text == f"# How?\n\n## System\n\nBe brief.\n\n## You\n\nHow?\n\n## Assistant (tiny)\n\n{code}\n"


def test_markdown_folds_reasoning(store: ChatStore, say: Say) -> None:
    text = to_markdown(say(store, "2+2?", "<think>\nAdd </details> them.\n</think>\n\n4"))
    assert "<details>\n<summary>Reasoning</summary>\n\nAdd &lt;/details> them.\n\n</details>\n\n4\n" in text


def test_an_interrupted_answer_is_said_to_be(store: ChatStore, say: Say) -> None:
    conversation = say(store, "Hi")
    answer = store.begin_answer(conversation.id, conversation.leaf_id, "tiny")
    store.finish_answer(answer.id, "half", None, MessageState.INTERRUPTED)
    assert to_markdown(store.get(conversation.id)).endswith("half\n\n*(interrupted)*\n")


def test_json_has_all_branches(store: ChatStore, statistics: AnswerStatistics, say: Say) -> None:
    conversation = say(store, "Hi", "one")
    second = store.begin_answer(conversation.id, conversation.path[0].id, "tiny")
    store.finish_answer(second.id, "zwei ü", statistics)
    conversation = store.get(conversation.id)
    text = to_json(conversation, store.all_messages(conversation.id))
    assert "zwei ü" in text
    data = json.loads(text)
    assert set(data) == {
        "format", "version", "id", "title", "system_prompt", "preset", "sampling", "active_branch", "messages",
    }  # fmt: skip
    assert data["active_branch"] == [1, second.id]
    assert [(m["content"], m["parent_id"]) for m in data["messages"]] == [("Hi", None), ("one", 1), ("zwei ü", 1)]
    assert data["messages"][2]["statistics"]["tokens_per_second"] == statistics.tokens_per_second
    assert data["messages"][0]["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", Parts("", "plain")),
        ("<think>\na\n</think>\n\nb", Parts("a", "b")),
        ("\n<thinking>a</thinking>b", Parts("a", "b")),
        ("<think>still", Parts("still", "", ended=False)),
        ("no opening</think>answer", Parts("no opening", "answer")),
        ("say `</think>` to end", Parts("", "say `</think>` to end")),
        ("```\n</think>\n```", Parts("", "```\n</think>\n```")),
        ("text first <think>a</think>", Parts("", "text first <think>a</think>")),
    ],
)
def test_reasoning_is_told_from_the_answer(text: str, parts: Parts) -> None:
    assert split_reasoning(text) == parts
