"""The sentences of the chat, and what of a text is reasoning."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import pytest

from app.chat.conversation import MessageState, StoredMessage
from app.engine.messages import Role, StopReason
from tests.ui.fake_engine import SAMPLE_STATISTICS
from ui.chat import message_row
from ui.chat import words as chat_words


def test_the_statistics_are_one_line_of_plain_words() -> None:
    statistics = dataclasses.replace(
        SAMPLE_STATISTICS, new_tokens=84, tokens_per_second=12.3, ms_per_token_median=70.0, ms_per_token_p95=96.4,
        time_to_first_token_ms=412.0,
    )  # fmt: skip
    assert chat_words.statistics_line(statistics) == (
        "84 tokens · 12.3 tokens/s · 81 ms a token (95 % within 96) · first token after 0.4 s"
        " · reused 812 of 830 prompt tokens"
    )


def test_a_fast_model_has_a_decimal() -> None:
    statistics = dataclasses.replace(
        SAMPLE_STATISTICS, tokens_per_second=390.6, ms_per_token_p95=11.2, time_to_first_token_ms=23.4
    )
    assert "2.6 ms a token (95 % within 11) · first token after 23 ms" in chat_words.statistics_line(statistics)


def test_one_token_has_no_speed() -> None:
    line = chat_words.statistics_line(dataclasses.replace(SAMPLE_STATISTICS, new_tokens=1, reused_tokens=0))
    assert line.startswith("1 token · first token")
    assert "830 prompt tokens" in line


def test_an_answer_stopped_before_its_first_token_has_no_time_of_it() -> None:
    stopped = dataclasses.replace(SAMPLE_STATISTICS, new_tokens=0, time_to_first_token_ms=0.0, reused_tokens=0)
    assert chat_words.statistics_line(stopped) == "0 tokens · 830 prompt tokens"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (StopReason.END, ""),
        (StopReason.CONTEXT_FULL, "Start a new chat"),
        (StopReason.MAX_TOKENS, "maximum number of tokens"),
        (StopReason.STOPPED, "Stopped by you"),
        (StopReason.STOP_STRING, "stop strings"),
    ],
)
def test_why_an_answer_ended(reason: StopReason, words: str) -> None:
    statistics = dataclasses.replace(SAMPLE_STATISTICS, stop_reason=reason)
    line = chat_words.end_line(StoredMessage(1, None, Role.ASSISTANT, "x", 0.0, statistics=statistics))
    assert words in line
    assert bool(words) == bool(line)


def test_an_interrupted_answer_says_so() -> None:
    message = StoredMessage(1, None, Role.ASSISTANT, "x", 0.0, state=MessageState.INTERRUPTED)
    assert "not complete" in chat_words.end_line(message)


def test_what_was_left_out() -> None:
    assert chat_words.left_out_line(0, 4096) == ""
    assert chat_words.left_out_line(1, 4096) == (
        "The oldest message was left out: it no longer fits in the context of 4,096 tokens."
    )
    assert chat_words.left_out_line(4, 4096) == (
        "The 4 oldest messages were left out: they no longer fit in the context of 4,096 tokens."
    )


def test_days() -> None:
    now = datetime(2026, 3, 2, 9, 0).timestamp()
    days = [datetime(2026, 3, 2, 0, 1), datetime(2026, 3, 1, 23, 59), datetime(2026, 2, 28, 12, 0)]
    assert [chat_words.day_group(day.timestamp(), now) for day in days] == ["Today", "Yesterday", "Earlier"]
    assert chat_words.when(days[2].timestamp(), now) == "28 Feb"
    assert chat_words.when(datetime(2024, 2, 28).timestamp(), now) == "28 Feb 2024"


def test_reasoning_is_split_off() -> None:
    parts = message_row.split("<think>\nhm\n</think>\n\nyes")
    assert (parts.reasoning, parts.answer, parts.closed) == ("hm", "yes", True)


def test_reasoning_that_goes_on() -> None:
    parts = message_row.split("<think>\nhm, so", live=True)
    assert (parts.reasoning, parts.answer, parts.closed) == ("hm, so", "", False)


@pytest.mark.parametrize("end", range(1, len("<think>")))
def test_a_tag_that_is_half_there_does_not_flash_up(end: int) -> None:
    assert message_row.split("<think>"[:end], live=True).answer == ""
    assert message_row.split("<think>hm" + "</think>"[:end], live=True).reasoning == "hm"


def test_only_a_live_text_hides_the_beginning_of_a_tag() -> None:
    assert message_row.split("<th").answer == "<th"


@pytest.mark.parametrize("text", ["I say <think>no</think>", "<|channel|>analysis: hm", "plain", ""])
def test_everything_else_is_answer(text: str) -> None:
    assert "<think>" not in text or message_row.split(text).answer
    if "<think>" not in text:
        assert message_row.split(text) == message_row.Parts(None, text)
