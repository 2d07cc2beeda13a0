"""A recipe that was begun is found again at the next start, until it has ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.prune.messages import PruneMethod
from app.recipe.recipe import BegunRecipe, PruneStep, QuantizeStep, Recipe, begun_recipe, forget, remember
from app.system.paths import Paths, default_paths

RECIPE = Recipe("Half “and” Q4", (PruneStep(PruneMethod.FFN, 0.5), QuantizeStep()))


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


def test_it_is_there_until_it_is_forgotten(paths: Paths, tmp_path: Path) -> None:
    assert begun_recipe(paths) is None
    remember(paths, BegunRecipe(tmp_path, RECIPE))
    found = begun_recipe(paths)
    assert found == BegunRecipe(tmp_path, RECIPE)
    assert RECIPE.name in found.sentence
    assert tmp_path.name in found.sentence
    forget(paths)
    forget(paths)
    assert begun_recipe(paths) is None


def test_without_its_model_there_is_nothing_to_go_on_with(paths: Paths, tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    remember(paths, BegunRecipe(source, RECIPE))
    shutil.rmtree(source)
    assert begun_recipe(paths) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": 1, "recipe": 2}', '{"source": "/", "recipe": "x"}'])
def test_a_damaged_record_is_none(paths: Paths, text: str) -> None:
    paths.begun_recipe.write_text(text)
    assert begun_recipe(paths) is None
