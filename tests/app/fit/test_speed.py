from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.llama import Model, ModelOptions
from app.engine.machine_speed import SyntheticModel
from app.engine.messages import MachineSpeed, MemoryNeed, TensorSpeed
from app.fit.judgement import MemoryBudget, ReadProfile, TypeBytes, main_type
from app.fit.speed import (
    MAX_ANSWERS,
    SpeedBook,
    SpokenAnswer,
    change_speed_book,
    predicted_ms,
    read_speed_book,
    type_bytes_per_second,
)
from app.fit.verdict import Choice, FitVerdict, Verdict, best, ms_text, sentence
from app.library.gguf_file import read_header

GB = 10**9
SPEED = MachineSpeed((TensorSpeed("Q4_K", 20.0 * GB), TensorSpeed("F16", 40.0 * GB)), 10.0 * GB, 0.05, 2, "2026-01-01")
BUDGET = MemoryBudget(14 * GB, int(9.3 * GB))


def test_the_time_is_bytes_over_speed_and_a_cost_for_each_layer() -> None:
    reads = ReadProfile((TypeBytes("Q4_K", 4 * GB), TypeBytes("F16", 1 * GB)), 20)
    assert predicted_ms(reads, GB, SPEED) == pytest.approx(200 + 25 + 100 + 1)


@pytest.mark.parametrize(
    ("kind", "like"), [("Q4_K", "Q4_K"), ("Q5_K", "Q4_K"), ("BF16", "F16"), ("F32", "F16"), ("IQ2_S", "Q4_K")]
)
def test_a_type_that_was_not_measured_is_like_the_nearest(kind: str, like: str) -> None:
    assert type_bytes_per_second(kind, SPEED) == type_bytes_per_second(like, SPEED)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Q4_K_M", "Q4_K"),
        ("UD-Q3_K_XL", "Q3_K"),
        ("Q8_0", "Q8_0"),
        ("FP16", "F16"),
        ("IQ4_XS", "IQ4_XS"),
        ("BF16", "BF16"),
    ],
)
def test_the_type_that_a_name_means(label: str, kind: str) -> None:
    assert main_type(label) == kind


def choice(label: str, ms: float | None, need: float, verdict: Verdict = Verdict.FITS) -> Choice:
    found = FitVerdict(verdict, MemoryNeed(int(need * GB), 0, 0, 0), 4096, 8192, 8192)
    return Choice(label, label, int(need * GB), found, ms)


def test_the_best_is_the_finest_that_fits_and_is_fast_enough() -> None:
    choices = [
        choice("Q2_K", 60, 3),
        choice("Q4_K_M", 140, 5.1),
        choice("Q8_0", 260, 8.5),
        choice("F16", 500, 16, Verdict.TOO_BIG),
    ]
    taken = best(choices, 200)
    assert taken is not None
    assert taken.label == "Q4_K_M"
    assert [one.label for one in [best(choices, 300)] if one] == ["Q8_0"]
    assert [one.label for one in [best(choices, 10)] if one] == ["Q2_K"]  # none is fast enough: the fastest


def test_the_best_fits_now_if_anything_does() -> None:
    now, later = choice("Q4_0", 100, 5), choice("Q8_0", 150, 10, Verdict.TOO_BIG_NOW)
    assert best([now, later], 200) is now
    assert best([later], 200) is later
    assert best([choice("Q8_0", 100, 99, Verdict.TOO_BIG)], 200) is None


def test_more_bits_than_q8_0_are_not_taken() -> None:
    taken = best([choice("Q8_0", 50, 2), choice("F16", 90, 4)], 200)
    assert taken is not None
    assert taken.label == "Q8_0"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (choice("Q4_K_M", 141, 5.1), "Q4_K_M needs 5.1 GB of your 9.3 GB free and should take about 140 ms a token."),
        (choice("Q8_0", 262, 8.0), "Q8_0 fits, but at about 260 ms a token it misses your 200 ms."),
        (choice("Q6_K", None, 6.2), "Q6_K needs 6.2 GB of your 9.3 GB free."),
        (
            choice("Q8_0", 100, 9.1, Verdict.TIGHT),
            "Q8_0 needs 9.1 GB of your 9.3 GB free (tight) and should take about 100 ms a token.",
        ),
        (
            choice("Q8_0", 100, 12, Verdict.TOO_BIG_NOW),
            "Q8_0 needs 12.0 GB; only 9.3 GB are free now. Close other programs first.",
        ),
        (
            choice("F16", 100, 16, Verdict.TOO_BIG),
            "F16 needs 16.0 GB: too big for this computer, which can give 14.0 GB at most.",
        ),
        (Choice("k", "Q4_0", 1, problem="No such architecture."), "Q4_0: cannot tell. No such architecture."),
    ],
)
def test_one_sentence_for_each(one: Choice, words: str) -> None:
    assert sentence(one, BUDGET, 200) == words


@pytest.mark.parametrize(("ms", "text"), [(1.24, "1.2 ms"), (18.4, "18 ms"), (141.0, "140 ms"), (1234.0, "1,200 ms")])
def test_a_prediction_has_two_figures(ms: float, text: str) -> None:
    assert ms_text(ms) == text


def test_the_book_keeps_the_last_answers_and_says_how_far_off_they_were(tmp_path: Path) -> None:
    book = SpeedBook(SPEED)
    assert book.error is None
    for actual in (100.0, 110.0, 90.0):
        book = book.with_answer(SpokenAnswer("m", 99.0, actual))
    assert book.error is not None
    assert book.error.sentence == "Half of the last 3 answers came within 10 % of the time predicted."
    change_speed_book(tmp_path / "speed.json", lambda _book: book)
    assert read_speed_book(tmp_path / "speed.json") == book
    for _ in range(MAX_ANSWERS + 5):
        book = book.with_answer(SpokenAnswer("m", 1.0, 1.0))
    assert len(book.answers) == MAX_ANSWERS
    assert book.with_speed(SPEED).error is None


@pytest.mark.parametrize("content", ["", "[]", '{"speed": {}, "answers": []}', '{"speed": null, "answers": [1]}', "{"])
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "speed.json").write_text(content)
    assert read_speed_book(tmp_path / "speed.json") == SpeedBook()


@pytest.mark.parametrize("kind", ["Q4_0", "Q6_K", "F16", "IQ4_XS"])
def test_a_synthetic_model_is_one_that_the_engine_loads(tmp_path: Path, kind: str) -> None:
    small = SyntheticModel(kind, layers=2, width=256, heads=4, kv_heads=2, ffn=512)
    small.write(tmp_path / "m.gguf")
    model = Model(tmp_path / "m.gguf", ModelOptions(), lambda _share: True)
    weights = model.weights_bytes
    model.close()
    assert weights >= 2 * small.layer_bytes
    assert read_header(tmp_path / "m.gguf").tensor_types[kind] == 14
