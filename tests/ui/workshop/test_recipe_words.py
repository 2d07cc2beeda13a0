"""Recipes in words: shares, costs, the verdict on this computer."""

from __future__ import annotations

import pytest

from app.fit.judgement import MemoryBudget
from app.prune.messages import LayerImportance, PruneMethod
from app.recipe.messages import RecipePlanned, ResultPlan, StepPlan
from app.recipe.recipe import PruneStep
from app.recover.messages import RecoverMethod
from ui.workshop.recipe_words import (
    IMPORTANCE_WORDS,
    PRUNE_WORDS,
    RECOVER_WORDS,
    cost_words,
    cut_words,
    kind_of,
    less_words,
    total_words,
    verdict_words,
)

GB = 10**9
BUDGET = MemoryBudget(12 * GB, 8 * GB)


def test_every_choice_has_words() -> None:
    assert set(PRUNE_WORDS) == set(PruneMethod)
    assert set(RECOVER_WORDS) == set(RecoverMethod)
    assert set(IMPORTANCE_WORDS) == set(LayerImportance)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(1536, 1024, "a third less"), (28, 21, "a quarter less"), (8, 4, "half"), (28, 27, "4 % less")],
)
def test_shares_in_words(before: int, after: int, words: str) -> None:
    assert less_words(before, after) == words


def test_a_cut_says_both_numbers() -> None:
    assert cut_words(1536, 1024) == "1,536 → 1,024 (a third less)"


def test_costs_are_about() -> None:
    time, memory, disk = cost_words(StepPlan(240, 2 * GB, 3 * GB, GB, ""))
    assert (time, memory, disk) == ("about 4 min", "2.0 GB of memory", "3.0 GB on disk, a part stays")
    assert cost_words(StepPlan(0, 0, 0, 0, ""))[0] == "time not known yet"
    assert cost_words(StepPlan(9, 0, GB, 0, ""))[2] == "1.0 GB on disk, for a while"


def test_a_sum_with_a_step_of_unknown_length_is_a_lower_bound() -> None:
    known, unknown = StepPlan(600, 0, GB, GB, ""), StepPlan(0, 0, GB, GB, "")
    plan = RecipePlanned(__file__, (known, known), (), 1, 2 * GB, 9 * GB)  # type: ignore[arg-type]
    assert total_words(plan) == "About 20 min and 2.0 GB of disk; 9.0 GB are free."
    plan = RecipePlanned(__file__, (known, unknown), (), 1, 2 * GB, 9 * GB)  # type: ignore[arg-type]
    assert total_words(plan).startswith("More than 10 min")


@pytest.mark.parametrize(
    ("need", "ms", "role", "words"),
    [
        (2, 70.0, "success", "fits: about 2.0 GB of your 8.0 GB free, about 70 ms a token"),
        (7.8, 70.0, "success", "(tight)"),
        (2, None, "success", "2.0 GB of your 8.0 GB free."),
        (2, 350.0, "warning", "misses your 200 ms"),
        (9, 70.0, "warning", "only 8.0 GB are free now"),
        (13, 70.0, "danger", "too big for this computer"),
    ],
)
def test_the_verdict(need: float, ms: float | None, role: str, words: str) -> None:
    said, said_role = verdict_words(ResultPlan("Q4_K_M", GB, int(need * GB), ms), BUDGET, 200)
    assert words in said
    assert said_role == role


def test_kinds() -> None:
    assert kind_of(PruneStep(PruneMethod.FFN, 0.5)) == "Prune"
