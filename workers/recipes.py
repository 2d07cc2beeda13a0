"""A recipe as one job of the window's queue."""

from __future__ import annotations

from pathlib import Path

from app.compress.recipe import Recipe
from app.compress.recipe_requests import RecipeWork, work_of
from workers.jobs import Job


def recipe_job(recipe: Recipe, source: Path, folder: Path) -> Job:
    """The job that makes of the folder `source` what the recipe says, in new folders below `folder`.

    Raises RecipeError.
    """
    work: RecipeWork = work_of(recipe, source, folder)
    return Job(f"{recipe.name}: {source.name}", work.requests, work.parts, work.folders)
