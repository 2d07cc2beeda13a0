"""Widths and counts that a recipe offers for a model."""

from __future__ import annotations

import pytest

from app.library.safetensors import FolderFacts
from app.prune.ffn_widths import width_for
from app.prune.ffn_widths import widths as ffn_widths
from app.prune.messages import PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep
from ui.workshop.recipe_choices import count_of, in_order, most_taken, prune_problem, width_of, widths


@pytest.mark.parametrize("full", [1536, 4864, 6144, 8960, 11008, 14336])
def test_widths_are_smaller_multiples_of_256(full: int) -> None:
    offered = widths(full, 256)
    assert len(offered) >= 5
    assert all(width % 256 == 0 and 0 < width < full for width in offered)
    assert list(offered) == sorted(offered, reverse=True)


def test_multiples_of_32_are_finer() -> None:
    assert widths(768, 256) == (512, 256)
    assert set(widths(768, 32)) > {384, 576}


def test_a_model_that_is_too_narrow_has_none() -> None:
    assert widths(256, 256) == ()
    assert width_of(256, 0.25, 256) == 0


@pytest.mark.parametrize("full", [1536, 8960])
def test_the_share_of_a_width_leads_back_to_it(full: int) -> None:
    for width in widths(full, 256):
        assert width_of(full, 1 - width / full, 256) == width


@pytest.mark.parametrize("multiple", [256, 32])
@pytest.mark.parametrize("full", [768, 960, 1536])
def test_the_width_that_is_shown_is_the_one_that_is_made(full: int, multiple: int) -> None:
    for hundredth in range(1, 100):
        assert width_of(full, hundredth / 100, multiple) == width_for(full, hundredth / 100, multiple)
    assert set(widths(full, multiple)) <= set(ffn_widths(full, multiple))


def test_a_tiny_share_still_takes_something_away() -> None:
    assert width_of(1536, 0.001, 256) == 1280
    assert count_of(28, 0.001, 26) == 1
    assert count_of(28, 0.99, 26) == 26


def test_what_a_model_cannot_spare_is_said() -> None:
    facts = FolderFacts(layers=2, ffn_width=256, kv_heads=1)
    assert "256 wide" in prune_problem(PruneStep(PruneMethod.FFN, 0.5), facts)
    assert "2 layers" in prune_problem(PruneStep(PruneMethod.LAYERS, 0.5), facts)
    assert "one KV group" in prune_problem(PruneStep(PruneMethod.KV_GROUPS, 0.5), facts)
    assert prune_problem(PruneStep(PruneMethod.WANDA, 0.5), facts) == ""
    assert prune_problem(PruneStep(PruneMethod.FFN, 0.5), FolderFacts()) == "", "nothing is known of it"
    assert most_taken(PruneMethod.LAYERS, FolderFacts(layers=28)) == 26
    assert most_taken(PruneMethod.KV_GROUPS, FolderFacts(kv_heads=8)) == 7


def test_a_step_is_added_at_its_place() -> None:
    recipe = Recipe("one", (RecoverStep(), QuantizeStep()))
    kinds = [type(step) for step in in_order((*recipe.steps, PruneStep(PruneMethod.FFN, 0.5)))]
    assert kinds == [PruneStep, RecoverStep, QuantizeStep]
