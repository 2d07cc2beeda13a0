"""The bundled texts: what `resources/texts/ORIGIN.md` promises of them."""

import unicodedata
from collections import Counter

import pytest

from app.system.paths import RESOURCES

TEXTS = RESOURCES / "texts"
LEAST_BYTES = {"calibration.txt": 40_000, "evaluation.txt": 20_000}
SCRIPTS = {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "CJK", "HIRAGANA", "KATAKANA", "HANGUL"}
CHAT_TOKENS = ("<|", "|>", "<s>", "</s>", "[INST]", "<start_of_turn>", "<end_of_turn>", "<think>")
LONG_LINE = 40
QUARTERS = 4


@pytest.fixture(params=sorted(LEAST_BYTES))
def name(request) -> str:
    return request.param


def read(name: str) -> str:
    return (TEXTS / name).read_bytes().decode("utf-8")


def scripts(text: str) -> Counter[str]:
    return Counter(unicodedata.name(char, "?").split(" ")[0] for char in text if char.isalpha())


def stretches(text: str, length: int) -> set[str]:
    """Every run of `length` characters that says something: not a table's ruler, not indentation."""
    runs = (text[start : start + length] for start in range(len(text) - length + 1))
    return {run for run in runs if sum(char.isalpha() for char in run) > length // 2}


def paragraphs(text: str) -> list[str]:
    """What stands between blank lines, without the brackets that end many a function."""
    return [part for part in text.split("\n\n") if len(part) > LONG_LINE]


def quarters(text: str) -> list[str]:
    length = len(text) // QUARTERS
    return [text[part * length : (part + 1) * length] for part in range(QUARTERS)]


def test_a_text_is_plain_utf_8_of_the_size_that_was_promised(name):
    data = (TEXTS / name).read_bytes()
    assert len(data) >= LEAST_BYTES[name]
    text = data.decode("utf-8")
    assert not {"\r", "\ufffd", "\ufeff", "\0"} & set(text)
    assert text == text.strip() + "\n"


def test_a_text_covers_many_scripts(name):
    counts = scripts(read(name))
    assert {script: counts[script] for script in SCRIPTS if counts[script] < 20} == {}


def test_a_text_holds_no_token_of_a_chat_template(name):
    text = read(name)
    assert [token for token in CHAT_TOKENS if token in text] == []


def test_every_quarter_of_a_text_holds_code_questions_numbers_and_other_scripts(name):
    for part in quarters(read(name)):
        counts = scripts(part)
        assert 1 - counts["LATIN"] / counts.total() > 0.04
        assert sum(line.startswith(("\t", "  ")) for line in part.split("\n")) >= 15
        assert sum(char.isdigit() for char in part) > len(part) // 200
        assert "User: " in part


def test_no_paragraph_stands_twice_in_a_text(name):
    counts = Counter(paragraphs(read(name)))
    assert [part for part, times in counts.items() if times > 1] == []
    assert len(counts) > 40


def test_the_two_texts_share_no_line_and_no_stretch_as_long_as_one():
    calibration, evaluation = read("calibration.txt"), read("evaluation.txt")
    lines = {line for line in calibration.split("\n") if len(line) > LONG_LINE}
    assert lines.isdisjoint(evaluation.split("\n"))
    assert stretches(calibration, LONG_LINE) & stretches(evaluation, LONG_LINE) == set()


def test_a_stretch_taken_over_from_the_other_text_would_be_found():
    calibration = read("calibration.txt")
    taken = calibration[5_000:5_400]
    mixed = read("evaluation.txt") + taken
    assert stretches(calibration, LONG_LINE) & stretches(mixed, LONG_LINE)


def test_their_origin_is_told(name):
    origin = (TEXTS / "ORIGIN.md").read_text("utf-8")
    assert f"`{name}`" in origin
    assert "MIT License" in origin
