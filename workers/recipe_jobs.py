"""A recipe as one job of the window's queue."""

from __future__ import annotations

from pathlib import Path

from app.errors import StorageError
from app.measure.messages import MeasureQuality
from app.recipe.recipe import Recipe
from app.recipe.work import work_of
from app.system.paths import Paths
from workers.jobs import Job


def recipe_job(recipe: Recipe, source: Path, folder: Path, paths: Paths) -> Job:
    """The job that makes of the folder `source` what the recipe says, in new folders below `folder`, which is made.

    A cancel keeps what is finished, as a failure does: hours may be in it, and the same recipe goes on from there.
    Raises RecipeError, ConversionError, StorageError.
    """
    work = work_of(recipe, source, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror or error}.") from error
    references = {r.reference for r in work.requests if isinstance(r, MeasureQuality) and r.reference is not None}
    copies = [paths.reference_copy(reference) for reference in references if reference.suffix.lower() != ".gguf"]
    unfinished = (*work.parts, *copies, *(copy.with_name(copy.name + ".part") for copy in copies))
    title = f"{recipe.name}: {source.resolve().name}"
    return Job(title, work.requests, unfinished, stages=work.steps, stage_count=len(recipe.steps))
