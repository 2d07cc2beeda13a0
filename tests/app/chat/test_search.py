"""Search finds what people type, in any script, and no input is an operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.chat.conversation import Conversation
from app.chat.search import parse, snippet
from app.chat.store import ChatStore

Say = Callable[..., Conversation]


@pytest.mark.parametrize(
    "search",
    [
        "hello", "HELLO", "hel", "ello wor", "world hello", "C++", "c++ hello", "中文", "文字", "中", "中文字", "🙂",
        "🙂 hello", "“quoted”", '"hi"', "100%", "snake_case", "naïve", "NAÏVE", "a\\b", "it's", "re",
        "(x)", "--flag", "foo.bar:baz",
    ],
)  # fmt: skip
def test_found(store: ChatStore, search: str, say: Say) -> None:
    hit = say(
        store,
        'Hello world, are you there? "hi" “quoted” 100% snake_case naïve a\\b it\'s (x) --flag foo.bar:baz C++',
        "这里有一些中文字 🙂",
        "Hello again in C++ with 🙂 and world",
    )
    say(store, "nothing of the kind", "never")
    assert [s.id for s in store.list(search)] == [hit.id]


@pytest.mark.parametrize(
    "search",
    ["absent", "hello absent", "*", "NEAR(hello world)", "hello OR absent", "%", "_", "hel*o", "content:hello",
     "' OR 1=1 --",
     "日本", "😀", '"', "\\"],
)  # fmt: skip
def test_not_found(store: ChatStore, search: str, say: Say) -> None:
    say(store, "hello world", "中文")
    assert store.list(search) == ()


def test_a_search_without_words_lists_all(store: ChatStore, say: Say) -> None:
    say(store, "hello")
    assert len(store.list("  ")) == len(store.list("")) == 1
    assert store.list("\x01") == ()


def test_titles_are_searched(store: ChatStore, say: Say) -> None:
    conversation = say(store, "hello")
    store.rename(conversation.id, "Übungen für Montag")
    assert [s.id for s in store.list("übung")] == [conversation.id]
    assert store.list("übung")[0].snippet == ""
    store.rename(conversation.id, "Other")
    assert store.list("übung") == ()


def test_an_edited_answer_is_found_by_its_new_text_only(store: ChatStore, say: Say) -> None:
    conversation = say(store, "hi", "first draft")
    answer = conversation.path[-1]
    store.finish_answer(answer.id, "final text")
    assert store.list("draft") == ()
    assert store.list("final")


def test_a_streaming_answer_is_indexed_when_it_ends(store: ChatStore, say: Say) -> None:
    conversation = say(store, "hi")
    answer = store.begin_answer(conversation.id, conversation.leaf_id, "tiny")
    store.update_answer(answer.id, "streaming words")
    assert store.list("streaming") == ()
    store.finish_answer(answer.id, "streaming words")
    assert store.list("streaming")


def test_the_newest_hit_gives_the_snippet(store: ChatStore, say: Say) -> None:
    say(store, "apple pie", "sure", "apple " + "tart " * 60)
    summary = store.list("apple")[0]
    assert summary.snippet.startswith("apple tart")
    assert summary.snippet.endswith("…")


def test_a_snippet_is_one_line_around_the_hit() -> None:
    text = "x" * 30 + " " + "word " * 40 + "\n\nthe NEEDLE\tis here " + "tail " * 50
    found = snippet(text, parse("needle"))
    assert "the NEEDLE is here" in found
    assert "\n" not in found
    assert found.startswith("…word")
    assert found.endswith("…")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=st.text(max_size=40))
def test_any_text_can_be_searched_for(store: ChatStore, search: str) -> None:
    store.list(search)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_any_word_is_found_by_itself(store: ChatStore, text: str, say: Say) -> None:
    conversation = say(store, f"before {text} after")
    assert conversation.id in {s.id for s in store.list(text, limit=1000)}
