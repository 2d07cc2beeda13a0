"""Titles and what the model is sent."""

from __future__ import annotations

import pytest

from app.chat.conversation import TITLE_LENGTH, UNTITLED, Conversation, StoredMessage, title_from
from app.engine.messages import Message, Role


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("What is a heap?", "What is a heap?"),
        ("\n\n  first   line \nsecond", "first line"),
        ("", UNTITLED),
        (" \n\t ", UNTITLED),
        ("中文标题", "中文标题"),
    ],
)
def test_a_title_is_the_first_line_with_words(text: str, title: str) -> None:
    assert title_from(text) == title


def test_a_long_title_is_cut_at_a_word() -> None:
    title = title_from("word " * 40)
    assert len(title) <= TITLE_LENGTH + 1
    assert title.endswith("word…")


def test_a_long_title_without_spaces_is_cut_anywhere() -> None:
    assert title_from("字" * 200) == "字" * TITLE_LENGTH + "…"


def _message(id_: int, role: Role, content: str) -> StoredMessage:
    return StoredMessage(id_, id_ - 1 or None, role, content, 0.0)


def test_the_model_is_sent_the_system_prompt_and_the_branch_without_empty_answers() -> None:
    path = (_message(1, Role.USER, "a"), _message(2, Role.ASSISTANT, ""), _message(3, Role.USER, "b"))
    conversation = Conversation("x", "t", system_prompt="Be kind.", path=path)
    system = Message(Role.SYSTEM, "Be kind.")
    assert conversation.messages() == (system, Message(Role.USER, "a"), Message(Role.USER, "b"))
    assert conversation.messages(until=1) == (system, Message(Role.USER, "a"))


def test_a_blank_system_prompt_is_not_sent() -> None:
    assert Conversation("x", "t", system_prompt=" \n").messages() == ()


def test_a_message_knows_its_place_among_its_siblings() -> None:
    assert StoredMessage(9, 1, Role.USER, "", 0.0, sibling_ids=(7, 9, 12)).sibling_number == 2


def test_the_path_until_a_message_is_nothing_where_it_is_not_in_the_branch() -> None:
    first, second = _message(1, Role.USER, "a"), _message(2, Role.ASSISTANT, "b")
    conversation = Conversation("x", "t", path=(first, second))
    assert conversation.path_until(1) == (first,)
    assert conversation.path_until(7) == conversation.path_until(None) == ()
    assert conversation.messages(until=7) == conversation.messages()
