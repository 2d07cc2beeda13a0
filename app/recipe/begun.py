"""The recipe that the window runs now, on disk: the next start reads it where the window ended before the recipe."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from app.errors import AppError
from app.recipe.recipe import Recipe, as_toml, read_recipe
from app.system.files import read_json, write_atomic
from app.system.paths import Paths


@dataclass(frozen=True, slots=True)
class BegunRecipe:
    """A recipe that was begun for the folder `source`."""

    source: Path
    recipe: Recipe

    @property
    def sentence(self) -> str:
        """What became of it, for the user."""
        return f"The recipe “{self.recipe.name}” for {self.source.name} was interrupted; what it had finished is kept."


def remember(paths: Paths, begun: BegunRecipe) -> None:
    """Write it down as far as the disk allows: a recipe runs without it too. Raises RecipeError for one that cannot."""
    data = {"source": str(begun.source), "recipe": as_toml(begun.recipe)}
    with contextlib.suppress(OSError):
        write_atomic(paths.begun_recipe, json.dumps(data).encode())


def forget(paths: Paths) -> None:
    """It has ended, and the user knows how."""
    with contextlib.suppress(OSError):
        paths.begun_recipe.unlink(missing_ok=True)


def begun_recipe(paths: Paths) -> BegunRecipe | None:
    """The one that was begun and has not ended, where its model is still there."""
    try:
        data = read_json(paths.begun_recipe)
        source, recipe = Path(data["source"]), read_recipe(str(data["recipe"]))
    except (OSError, ValueError, KeyError, TypeError, AppError):
        return None
    return BegunRecipe(source, recipe) if source.is_dir() else None
