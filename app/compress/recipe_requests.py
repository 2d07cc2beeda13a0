"""A recipe as the requests of one job: prune, recover, name what was made, quantize, measure. No engine here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.compress.recipe import Recipe
from app.requests import Request


@dataclass(frozen=True, slots=True)
class RecipeWork:
    """All that a job needs to know."""

    requests: tuple[Request, ...]
    steps: tuple[int, ...]
    """Of each request, the step of the recipe that it belongs to, from 0; the number of steps for what ends the job."""
    model: Path
    """The folder that comes out; the source itself where nothing is pruned or trained."""
    files: tuple[Path, ...]
    """The GGUF files that are made of it."""
    parts: tuple[Path, ...]
    """Unfinished files, which go when the job does not end well."""
    folders: tuple[Path, ...]
    """What the same job could go on from; they go when the user cancels it."""


def requests_of(recipe: Recipe, source: Path, folder: Path) -> tuple[Request, ...]:
    """The requests of `work_of`. Raises RecipeError."""
    return work_of(recipe, source, folder).requests


def work_of(recipe: Recipe, source: Path, folder: Path) -> RecipeWork:
    """What to do to make of the Hugging Face folder `source` what the recipe says, in new folders below `folder`.

    Raises RecipeError where the recipe is no recipe, or asks for what this model has not.
    """
    raise NotImplementedError
