"""What is trained on, what is held out, and what is said of a text that will not do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from app.errors import AppError, Cancelled, RecoverError
from app.recover.language_model import open_model
from app.recover.messages import BUNDLED_TEXT, Recover
from app.recover.texts import BATCH, Writer, openings_of, order, read_texts, write_text
from tests.real_models import EVAL_CODE, STDLIB_3M


def request(text: str, **changes: int) -> Recover:
    return Recover(STDLIB_3M, STDLIB_3M, Path(), text=text, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return AutoTokenizer.from_pretrained(STDLIB_3M)


@pytest.mark.parametrize("text", [BUNDLED_TEXT, str(EVAL_CODE), "teacher"])
def test_held_out_text_is_never_trained_on(tokenizer: object, text: str) -> None:
    texts = read_texts(request(text, context_tokens=64), tokenizer, None)
    if texts.written_tokens:
        texts = texts.with_written(torch.arange(64 * 64).view(64, 64))
        assert len(texts.held_out) == 16
    training = {tuple(window) for window in texts.training.tolist()}
    held_out = {tuple(window) for window in texts.held_out.tolist()}
    assert len(training) > 4
    assert held_out
    assert not training & held_out


def test_a_text_of_the_users_is_used_up(tokenizer: object) -> None:
    texts = read_texts(request(str(EVAL_CODE), context_tokens=64), tokenizer, 0)
    assert bool((texts.training[:, 0] == 0).all())
    assert texts.training.shape[1] == texts.held_out.shape[1] == 64


@pytest.mark.parametrize(("content", "word"), [("", "empty"), (" \n", "empty"), ("a few words", "too short")])
def test_a_text_that_will_not_do(tmp_path: Path, tokenizer: object, content: str, word: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text(content)
    with pytest.raises(RecoverError, match=word):
        read_texts(request(str(file)), tokenizer, None)


def test_a_text_that_is_not_there(tmp_path: Path, tokenizer: object) -> None:
    with pytest.raises(AppError, match="could not be read"):
        read_texts(request(str(tmp_path / "none.txt")), tokenizer, None)


def test_each_window_comes_before_any_comes_again() -> None:
    numbers = order(10, 3)
    first, second = [next(numbers) for _ in range(10)], [next(numbers) for _ in range(10)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    again = order(10, 3)
    assert [next(again) for _ in range(10)] == first


@pytest.fixture(scope="module")
def writer(tokenizer: object) -> Writer:
    return Writer(open_model(STDLIB_3M), openings_of(tokenizer, None), {3}, 24, 7)


class TestWritten:
    def test_the_teacher_opens_a_chat_and_goes_on_with_passages(self, writer: Writer, tokenizer: object) -> None:
        chat, passage = (writer.batch(number, lambda: False) for number in (0, 1))
        assert chat.shape == passage.shape == (BATCH, 24)
        assert all(text.startswith("<|im_start|>user") for text in tokenizer.batch_decode(chat))  # type: ignore[attr-defined]
        assert len(set(map(tuple, passage[:, :8].tolist()))) > BATCH // 2

    def test_the_cache_changes_nothing(self, writer: Writer) -> None:
        """The same draws from logits of the whole text, read anew for each token."""
        written = writer.batch(0, lambda: False)
        writer._next = lambda tokens, cache: _without_cache(writer, tokens, cache)  # type: ignore[method-assign]
        try:
            assert torch.equal(writer.batch(0, lambda: False), written)
        finally:
            del writer._next  # type: ignore[method-assign]

    def test_a_text_that_ended_is_followed_by_a_new_one(self, writer: Writer) -> None:
        windows = torch.cat([writer.batch(number, lambda: False) for number in range(3)])
        after = windows[:, 1:][windows[:, :-1] == 3]
        assert len(after) > 5
        assert set(after.tolist()) == {int(writer._openings[0][0, 0])}

    def test_interrupted_it_goes_on_with_the_same_text(self, writer: Writer, tmp_path: Path) -> None:
        wanted = 2 * BATCH * 24
        whole = write_text(writer, wanted, tmp_path / "whole", lambda _event: None, lambda: False)
        calls = iter(range(30))
        with pytest.raises(Cancelled):  # in the second batch
            write_text(writer, wanted, tmp_path / "part", lambda _event: None, lambda: next(calls) > 25)
        assert (tmp_path / "part").is_file()
        assert torch.equal(write_text(writer, wanted, tmp_path / "part", lambda _event: None, lambda: False), whole)


def _without_cache(writer: Writer, tokens: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    text = tokens if before is None else torch.cat([before, tokens], dim=1)
    teacher = writer._teacher
    return teacher.logits(teacher.hidden(text)[:, -1]), text
