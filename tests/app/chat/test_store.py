"""Conversations and their messages, kept."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from app.chat.conversation import UNTITLED, Conversation, MessageState
from app.chat.presets import BALANCED, PRECISE, SamplingPreset, preset_named
from app.chat.store import ChatStore
from app.engine.messages import AnswerStatistics, Role, Sampling
from app.errors import StorageError

SAMPLING = Sampling(
    temperature=0.1, top_k=3, top_p=0.5, min_p=0.2, repeat_penalty=1.2, seed=9, stop=("a", "b"), max_tokens=5
)

Say = Callable[..., Conversation]


def test_a_conversation_is_read_back_by_another_store(store: ChatStore, database: Path) -> None:
    made = store.create("Be brief.", SAMPLING, "Mine")
    store.add_user_message(made.id, None, "Hello\0 🙂 \ud83d end")
    with ChatStore(database) as other:
        read = other.get(made.id)
    assert (read.system_prompt, read.sampling, read.preset) == ("Be brief.", SAMPLING, "Mine")
    assert read.path[0].content == "Hello\0 🙂 ? end"


def test_the_first_message_titles_the_conversation_and_the_second_does_not(store: ChatStore, say: Say) -> None:
    conversation = store.create()
    assert conversation.title == UNTITLED
    conversation = say(store, "Why is the sky blue?", "Scattering.", "And at night?")
    assert conversation.title == "Why is the sky blue?"


def test_a_title_of_the_users_is_kept_and_a_blank_one_brings_back_the_automatic(store: ChatStore) -> None:
    conversation = store.create()
    store.rename(conversation.id, "  My\n title ")
    store.add_user_message(conversation.id, None, "Hello")
    assert store.get(conversation.id).title == "My title"
    store.rename(conversation.id, "  ")
    assert store.get(conversation.id).title == "Hello"


def test_an_answer_streams_and_ends_with_its_statistics(store: ChatStore, statistics: AnswerStatistics) -> None:
    conversation = store.create()
    question = store.add_user_message(conversation.id, None, "Hi")
    answer = store.begin_answer(conversation.id, question.id, "tiny")
    assert answer.state is MessageState.STREAMING
    store.update_answer(answer.id, "Hel")
    assert store.get(conversation.id).path[-1].content == "Hel"
    store.finish_answer(answer.id, "Hello", statistics)
    last = store.get(conversation.id).path[-1]
    assert (last.content, last.state, last.statistics) == ("Hello", MessageState.COMPLETE, statistics)
    assert (last.role, last.model_name, last.parent_id) == (Role.ASSISTANT, "tiny", question.id)


def test_answers_that_streamed_when_the_program_ended_are_interrupted(
    store: ChatStore, database: Path, say: Say
) -> None:
    conversation = say(store, "Hi")
    answer = store.begin_answer(conversation.id, conversation.leaf_id, "tiny")
    store.update_answer(answer.id, "so far")
    with ChatStore(database) as later:
        last = later.get(conversation.id).path[-1]
    assert (last.content, last.state) == ("so far", MessageState.INTERRUPTED)


def test_regenerating_makes_a_sibling_and_selecting_goes_back(store: ChatStore, say: Say) -> None:
    conversation = say(store, "Hi", "first", "thanks", "welcome")
    question, first = conversation.path[:2]
    second = store.begin_answer(conversation.id, question.id, "tiny")
    store.finish_answer(second.id, "second")
    assert [m.content for m in store.get(conversation.id).path] == ["Hi", "second"]
    assert store.get(conversation.id).path[1].sibling_ids == (first.id, second.id)
    back = store.select_branch(conversation.id, first.id)
    assert [m.content for m in back.path] == ["Hi", "first", "thanks", "welcome"]
    assert back.path[1].sibling_number == 1


def test_editing_the_first_message_makes_a_second_root(store: ChatStore, say: Say) -> None:
    conversation = say(store, "Hi", "Hello")
    edited = store.add_user_message(conversation.id, None, "Hey")
    assert edited.sibling_ids == (conversation.path[0].id, edited.id)
    assert [m.content for m in store.get(conversation.id).path] == ["Hey"]


def test_selecting_a_branch_ends_where_it_was_last_written(store: ChatStore, say: Say) -> None:
    conversation = say(store, "root", "old answer")
    root, old = conversation.path
    new = store.begin_answer(conversation.id, root.id, "tiny")
    late = store.add_user_message(conversation.id, old.id, "written last")
    store.select_branch(conversation.id, new.id)
    assert store.select_branch(conversation.id, root.id).leaf_id == late.id


def test_a_sibling_of_another_conversation_is_not_one(store: ChatStore, say: Say) -> None:
    say(store, "one")
    assert len(say(store, "two").path[0].sibling_ids) == 1


def test_a_long_conversation_opens(store: ChatStore, say: Say) -> None:
    conversation = say(store, *(f"text {n}" for n in range(300)))
    assert [m.content for m in conversation.path] == [f"text {n}" for n in range(300)]


def test_the_list_has_the_last_used_first(store: ChatStore, say: Say) -> None:
    first, second = say(store, "first"), say(store, "second", "answer")
    assert [s.id for s in store.list()] == [second.id, first.id]
    store.add_user_message(first.id, first.leaf_id, "again")
    assert [s.id for s in store.list()] == [first.id, second.id]
    assert store.list()[1].model_name == "tiny"
    assert [s.id for s in store.list(limit=1, offset=1)] == [second.id]


def test_deleting_is_undone_until_it_is_purged(store: ChatStore, say: Say) -> None:
    conversation = say(store, "keep me", "yes")
    store.delete(conversation.id)
    assert store.list() == ()
    assert store.list("keep") == ()
    assert store.purge_deleted(older_than_s=3600) == 0
    store.restore(conversation.id)
    assert [m.content for m in store.get(conversation.id).path] == ["keep me", "yes"]
    store.delete(conversation.id)
    assert store.purge_deleted(older_than_s=-1) == 1
    with pytest.raises(StorageError, match="no longer there"):
        store.get(conversation.id)


def test_purging_leaves_nothing_of_the_text_to_be_found(store: ChatStore, database: Path, say: Say) -> None:
    store.delete(say(store, "the secret word is xylophone").id)
    store.purge_deleted(older_than_s=-1)
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM message_search WHERE message_search MATCH 'xylophone'").fetchone() == (
            0,
        )
    db.close()


def test_what_is_not_there_is_said(store: ChatStore, say: Say) -> None:
    conversation = say(store, "here")
    other = say(store, "other")
    for call in (
        lambda: store.get("nowhere"),
        lambda: store.rename("nowhere", "x"),
        lambda: store.delete("nowhere"),
        lambda: store.add_user_message("nowhere", None, "x"),
        lambda: store.add_user_message(conversation.id, other.leaf_id, "x"),
        lambda: store.select_branch(conversation.id, 999),
    ):
        with pytest.raises(StorageError, match="no longer there"):
            call()
    assert len(store.all_messages(conversation.id)) == 1


def test_a_failed_change_changes_nothing(store: ChatStore, say: Say) -> None:
    conversation = say(store, "one")
    with pytest.raises(StorageError):
        store.begin_answer(conversation.id, 12345, "tiny")
    assert store.get(conversation.id) == conversation
    assert store.list()[0].model_name == ""


def test_system_prompt_and_sampling_are_changed(store: ChatStore) -> None:
    id_ = store.create().id
    store.set_system_prompt(id_, "Answer in Latin.")
    store.set_sampling(id_, PRECISE.sampling, PRECISE.name)
    changed = store.get(id_)
    assert (changed.system_prompt, changed.sampling, changed.preset) == (
        "Answer in Latin.",
        PRECISE.sampling,
        "Precise",
    )


def test_own_presets_are_kept_replaced_and_removed(store: ChatStore) -> None:
    store.save_preset("  My   way ", SAMPLING)
    assert store.presets() == (SamplingPreset("My way", SAMPLING),)
    hotter = dataclasses.replace(SAMPLING, temperature=1.5)
    store.save_preset("My way", hotter)
    assert preset_named("My way", store.presets()) == SamplingPreset("My way", hotter)
    store.delete_preset("My way")
    assert store.presets() == ()


@pytest.mark.parametrize("name", ["", "  ", BALANCED.name])
def test_a_preset_needs_a_name_of_its_own(store: ChatStore, name: str) -> None:
    with pytest.raises(StorageError):
        store.save_preset(name, SAMPLING)


def test_all_messages_are_those_of_all_branches(store: ChatStore, say: Say) -> None:
    conversation = say(store, "a", "b")
    store.add_user_message(conversation.id, None, "c")
    assert [(m.content, len(m.sibling_ids)) for m in store.all_messages(conversation.id)] == [
        ("a", 2),
        ("b", 1),
        ("c", 2),
    ]
