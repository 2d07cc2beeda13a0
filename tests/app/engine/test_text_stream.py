import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.generation import TextStream


def test_holds_an_incomplete_character_back():
    stream = TextStream()
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert stream.feed(first) == ""
    assert stream.feed(second) == "é"


def test_an_incomplete_character_at_the_end_is_shown_as_replacement():
    stream = TextStream()
    stream.feed("😀".encode()[:2])
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"


def test_stop_string_across_tokens_ends_the_text_before_it():
    stream = TextStream(["\nUser:"])
    shown = [stream.feed(piece) for piece in (b"Hello", b".\nUs", b"er", b": and more")]
    assert shown == ["Hello", ".", "", ""]
    assert stream.stopped
    assert stream.finish() == ""


def test_what_looked_like_a_stop_string_is_shown_when_it_is_none():
    stream = TextStream(["\nUser:"])
    assert stream.feed(b"a\nUse") == "a"
    assert stream.feed(b"ful") == "\nUseful"
    assert not stream.stopped


@pytest.mark.parametrize("stops", [["aab"], ["ab", "aab"]])
def test_overlapping_beginnings_are_found(stops):
    stream = TextStream(stops)
    text = "".join(stream.feed(piece) for piece in (b"xa", b"a", b"ab"))
    assert stream.stopped
    assert text in ("xa", "x")


@given(st.text(), st.lists(st.integers(1, 4), min_size=1))
def test_any_splitting_gives_the_same_text(text, sizes):
    data, stream, shown, at = text.encode("utf-8", "replace"), TextStream(["never in it \0"]), "", 0
    for i in range(len(data)):
        step = sizes[i % len(sizes)]
        shown += stream.feed(data[at : at + step])
        at += step
    assert shown + stream.finish() == data.decode("utf-8")
