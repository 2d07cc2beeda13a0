from pathlib import Path

import pytest

from app.engine.machine_record import DraftChoice, choose_draft, read_choice, remember_ratio

MODEL, DRAFT, OTHER = Path("/models/large.gguf"), Path("/models/small.gguf"), Path("/models/other.gguf")


@pytest.fixture
def book(tmp_path):
    return tmp_path / "drafts.json"


def test_nothing_is_known_before(book):
    assert read_choice(book, MODEL) == DraftChoice()


def test_choices_and_ratios_are_kept_for_each_model(book):
    choose_draft(book, MODEL, DRAFT)
    remember_ratio(book, MODEL, DRAFT, 1.7)
    remember_ratio(book, MODEL, OTHER, 0.9)
    choose_draft(book, OTHER, DRAFT)
    assert read_choice(book, MODEL) == DraftChoice(str(DRAFT), {str(DRAFT): 1.7, str(OTHER): 0.9})
    choose_draft(book, MODEL, None)
    assert read_choice(book, MODEL) == DraftChoice("", {str(DRAFT): 1.7, str(OTHER): 0.9})
    assert read_choice(book, OTHER).draft == str(DRAFT)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"nonsense", b'{"/models/large.gguf": 3}', b'{"/models/large.gguf": {"draft": 3, "ratios": []}}'],
)
def test_a_damaged_book_is_an_empty_one(book, content):
    book.write_bytes(content)
    assert read_choice(book, MODEL) == DraftChoice()
    choose_draft(book, MODEL, DRAFT)
    assert read_choice(book, MODEL).draft == str(DRAFT)


def test_bad_ratios_are_left_out(book):
    book.write_text('{"/models/large.gguf": {"draft": "d", "ratios": {"a": 1.5, "b": "x", "c": -1, "e": NaN}}}')
    assert read_choice(book, MODEL) == DraftChoice("d", {"a": 1.5})


def test_a_book_that_cannot_be_written_is_no_error(tmp_path):
    choose_draft(tmp_path / "missing" / "drafts.json", MODEL, DRAFT)
