"""Recipes as files: what is written is read again, and what is wrong is named with its step and its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import RecipeError, StorageError
from app.prune.messages import SPARSE, LayerImportance, PruneMethod
from app.recipe.recipe import (
    MAX_FILE_BYTES,
    MAX_STEPS,
    PruneStep,
    QuantizeStep,
    Recipe,
    RecoverStep,
    as_toml,
    builtin_recipes,
    check_recipe,
    read_recipe,
    write_recipe,
)
from app.recover.messages import RecoverMethod

PRUNE = '[[step]]\nprune = "ffn"\namount = 0.25\n'
RECOVER = '[[step]]\nrecover = "lora"\n'
QUANTIZE = '[[step]]\nquantize = ["Q4_K_M"]\n'

printable = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip()) and text.isprintable()
)
prunes = st.builds(
    PruneStep,
    method=st.sampled_from([PruneMethod.FFN, PruneMethod.LAYERS, PruneMethod.WANDA]),
    amount=st.floats(0, 1, exclude_min=True, exclude_max=True),
    refit=st.booleans(),
    refit_gate_up=st.booleans(),
    width_multiple=st.integers(1, 8).map(lambda n: 32 * n),
    importance=st.sampled_from(list(LayerImportance)),
    rounds=st.integers(1, 10),
    round_tokens=st.integers(1_000, 10**6),
)
recovers = st.builds(
    RecoverStep,
    method=st.sampled_from(list(RecoverMethod)),
    budget_tokens=st.integers(1_000, 10**7),
    text=printable,
    temperature=st.floats(0.1, 20),
    hard_loss=st.floats(0, 1),
    progressive=st.booleans(),
    quantization_aware=st.sampled_from(["", "Q4_0"]),
    rank=st.integers(1, 512),
)
quantizes = st.builds(
    QuantizeStep,
    types=st.lists(st.sampled_from(["Q4_0", "Q8_0", "Q6_K", "IQ2_XS"]), min_size=1, unique=True).map(tuple),
)
recipes = st.builds(
    lambda name, first, then, last: Recipe(name, (*first, *then, *last)),
    printable,
    st.lists(prunes, min_size=1, max_size=3),
    st.lists(recovers, max_size=2),
    st.lists(quantizes, max_size=2),
)


@settings(deadline=None, max_examples=60)
@given(recipes)
def test_what_is_written_is_read_again(recipe: Recipe) -> None:
    assert read_recipe(as_toml(recipe)) == recipe


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_rubbish_is_an_error_in_words(text: str) -> None:
    with pytest.raises(RecipeError):
        read_recipe(text)


def test_what_is_as_usual_is_not_written() -> None:
    recipe = Recipe("a", (PruneStep(PruneMethod.FFN, 0.5), RecoverStep()))
    assert as_toml(recipe).count("=") == 4  # name, prune, amount, recover


def test_a_file_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    write_recipe(path, builtin_recipes()[0])
    assert read_recipe(path) == builtin_recipes()[0]
    with pytest.raises(StorageError, match="could not be written"):
        write_recipe(tmp_path / "nowhere" / "mine.toml", builtin_recipes()[0])


def test_whole_numbers_are_numbers_too() -> None:
    step = read_recipe(f'name = "a"\n{PRUNE}{RECOVER}temperature = 2\n').steps[1]
    assert isinstance(step, RecoverStep)
    assert isinstance(step.temperature, float)


def test_those_that_come_along_are_plain() -> None:
    found = builtin_recipes()
    assert 3 <= len(found) <= 5
    assert len({recipe.name for recipe in found}) == len(found)
    zeros = [r for r in found if any(isinstance(s, PruneStep) and s.method in SPARSE for s in r.steps)]
    assert all("no gain" in recipe.name for recipe in zeros)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PRUNE, "needs a name"),
        ('name = 7\n' + PRUNE, "needs a name"),
        ('name = "a"', "has no steps"),
        ('name = "a"\nsteps = 1\n' + PRUNE, "unknown key “steps”"),
        ('name = "a"\nstep = 1', "begins with a line [[step]]"),
        ('name = "a"\n[[step]]\namount = 0.5', "Step 1 says nothing"),
        ('name = "a"\n[[step]]\nprune = "ffn"\nrecover = "lora"', "Step 1 says prune and recover"),
        ('name = "a"\n[[step]]\nprune = "ffn"', "Step 1 (prune): “amount” is missing"),
        ('name = "a"\n' + PRUNE + "amonut = 1", "Step 1 (prune): the key “amonut” is unknown"),
        ('name = "a"\n[[step]]\nprune = "heads"\namount = 0.5', "“prune” is “heads”; it is one of magnitude"),
        ('name = "a"\n[[step]]\nprune = ["ffn"]\namount = 0.5', "“prune” is ['ffn']; it is one of"),
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = 0', "“amount” is 0.0; it is a number above 0 and below 1"),
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = 1', "“amount” is 1.0"),
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = nan', "“amount” is nan"),
        ('name = "a"\n[[step]]\nprune = "ffn"\namount = "0.5"', "“amount” is “0.5”"),
        ('name = "a"\n' + PRUNE + "refit = 1", "“refit” is 1; it is true or false"),
        ('name = "a"\n' + PRUNE + "rounds = 2.0", "“rounds” is 2.0; it is a whole number from 1 to 10"),
        ('name = "a"\n' + PRUNE + "rounds = true", "“rounds” is True"),
        ('name = "a"\n' + PRUNE + "width_multiple = 40", "is a multiple of 32"),
        ('name = "a"\n' + PRUNE + 'pattern = "2:4"', "“pattern” does not go with ffn"),
        ('name = "a"\n' + PRUNE + 'rewind = "/tmp"', "“rewind” does not go with ffn"),
        ('name = "a"\n[[step]]\nprune = "wanda"\namount = 0.3\npattern = "2:4"', "a pattern of 2:4 takes 0.5"),
        ('name = "a"\n' + PRUNE + RECOVER + "rank = 0", "Step 2 (recover): “rank” is 0"),
        ('name = "a"\n' + PRUNE + RECOVER + 'text = ""', "“text” is empty"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = "Q4_0"', "Step 2 (quantize): “quantize” is not a list"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = [["Q4_0"]]', "is not a type to quantize to"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = ["Q9_X"]', "names “Q9_X”, which is not a type"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = ["Q4_0", "Q4_0"]', "names a type twice"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = ["Q8_0"]\nbest = true', "“best” makes Q4_0 or Q4_K_M"),
        ('name = "a"\n' + PRUNE + '[[step]]\nquantize = ["IQ2_XS"]\ncalibrate = false', "would be ruined"),
        ('name = "a"\n' + QUANTIZE + PRUNE, "Step 2 (prune): it comes too late"),
        ('name = "a"\n' + PRUNE + QUANTIZE + RECOVER, "Step 3 (recover): it comes too late"),
        ('name = "a"\n' + RECOVER, "nothing to win back"),
        ('name = "a"\n' + PRUNE * (MAX_STEPS + 1), "it may have 20"),
        ("#" * (MAX_FILE_BYTES + 1), "longer than 64 kB"),
        ("name = ", "not a TOML file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(text)
    assert words in caught.value.sentence


def test_a_file_that_is_no_text_or_too_long_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="it is not text"):
        read_recipe(path)
    path.write_bytes(b"#" * 1_000_000)
    with pytest.raises(RecipeError, match="longer than"):
        read_recipe(path)


def test_a_recipe_made_elsewhere_is_checked_before_it_is_written() -> None:
    wrong = Recipe("a", (PruneStep(PruneMethod.FFN, 1.5),))
    for refuse in (check_recipe, as_toml):
        with pytest.raises(RecipeError, match="amount"):
            refuse(wrong)


def test_training_for_the_quantization_needs_no_pruning() -> None:
    check_recipe(Recipe("a", (RecoverStep(quantization_aware="Q4_0"), QuantizeStep(("Q4_0",)))))


def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("name = ")
    with pytest.raises(RecipeError, match=r"^“bad\.toml” cannot be opened\. The recipe is not a TOML file"):
        read_recipe(file)
    with pytest.raises(RecipeError, match=r"^“none\.toml” cannot be read"):
        read_recipe(file.with_name("none.toml"))
    with pytest.raises(RecipeError, match=r"^The recipe is not a TOML file"):
        read_recipe("name = ")
