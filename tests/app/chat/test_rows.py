"""One bad field must not close a chat."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.conversation import Conversation, MessageState
from app.chat.database import decode_message, decode_sampling, decode_statistics, encode_sampling, encode_statistics
from app.chat.store import ChatStore
from app.engine.messages import AnswerStatistics, DraftFigures, Role, Sampling

Say = Callable[..., Conversation]


def test_what_is_encoded_is_decoded(statistics: AnswerStatistics) -> None:
    sampling = Sampling(temperature=0.0, seed=3, stop=("x",), max_tokens=9)
    assert decode_sampling(encode_sampling(sampling)) == sampling
    assert decode_statistics(encode_statistics(statistics)) == statistics
    assert decode_statistics(encode_statistics(None)) is None


@pytest.mark.parametrize(
    "stored",
    [None, 5, b"\xff\x00", "", "not json", "[]", "{}", '{"stop_reason": "end"}', '{"seed": []}', "[" * 100_000, "NaN"],
)
def test_bad_statistics_are_none(stored: object) -> None:
    assert decode_statistics(stored) is None


def test_a_bad_value_of_the_sampling_is_the_default_and_the_others_stay() -> None:
    stored = '{"temperature": "hot", "top_k": 7, "top_p": NaN, "seed": true, "stop": 3, "new": 1}'
    assert decode_sampling(stored) == Sampling(top_k=7)


VALUES = st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)


@given(row=st.tuples(*[VALUES] * 7), json_text=st.text(max_size=30))
def test_any_row_is_a_message(row: tuple[object, ...], json_text: str) -> None:
    message = decode_message((1, *row[:6], json_text))
    assert message.id == 1
    assert isinstance(message.content, str)
    assert decode_sampling(row[0]) == Sampling()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("role", "'tool'"), ("state", "'half'"), ("statistics", "'{broken'"), ("created_at", "'yesterday'"),
        ("content", "x'ff00fe'"), ("content", "42"), ("model_name", "x'80'"), ("parent_id", "2"), ("parent_id", "999"),
    ],
)  # fmt: skip
def test_a_chat_with_a_bad_field_opens(store: ChatStore, database: Path, say: Say, column: str, value: str) -> None:
    conversation = say(store, "one", "two", "three")
    store.close()
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(f"UPDATE messages SET {column} = {value} WHERE id = 2")
    db.close()
    read = store.get(conversation.id)
    assert read.path[-1].content == "three"
    assert read.path[-1].parent_id == 2
    assert store.list()
    assert len(store.all_messages(conversation.id)) == 3


@pytest.mark.parametrize("column", ["title", "system_prompt", "sampling", "preset", "active_leaf", "updated_at"])
def test_a_conversation_with_a_bad_field_opens(store: ChatStore, database: Path, say: Say, column: str) -> None:
    conversation = say(store, "one", "two")
    store.close()
    with sqlite3.connect(database) as db:
        db.execute(f"UPDATE conversations SET {column} = x'ff41'")
    db.close()
    assert [m.content for m in store.get(conversation.id).path] == ["one", "two"]
    assert store.list()[0].id == conversation.id


def test_an_unknown_role_or_state_is_taken_for_the_likeliest() -> None:
    message = decode_message((1, None, "tool", "text", 0, "", "half", None))
    assert (message.role, message.state) == (Role.ASSISTANT, MessageState.COMPLETE)


def test_what_drafting_did_is_kept(statistics: AnswerStatistics) -> None:
    figures = DraftFigures(True, 30, 20, 12, 32, 40.5, 80.25)
    drafted = dataclasses.replace(statistics, drafting=figures)
    assert decode_statistics(encode_statistics(drafted)) == drafted


@pytest.mark.parametrize("drafting", [3, [], {}, {"is_on": True}, {"is_on": True, "steps": "many"}])
def test_bad_figures_of_drafting_leave_the_other_statistics(statistics: AnswerStatistics, drafting: object) -> None:
    stored = json.loads(encode_statistics(statistics) or "") | {"drafting": drafting}
    assert decode_statistics(json.dumps(stored)) == statistics


def test_statistics_from_before_there_were_drafts_are_read(statistics: AnswerStatistics) -> None:
    stored = json.loads(encode_statistics(statistics) or "")
    del stored["drafting"]
    assert decode_statistics(json.dumps(stored)) == statistics
