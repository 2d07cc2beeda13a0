"""What a recipe would make of a model, and what each step would take, before anything is done."""

from __future__ import annotations

from app.events import ShouldStop
from app.paths import Paths
from app.pruning import PlanRecipe, RecipePlanned


def plan_recipe(request: PlanRecipe, paths: Paths, stop: ShouldStop) -> RecipePlanned:
    """Exact sizes for uniform cuts, memory as llama.cpp plans it, predicted ms a token; time and disk of every step.

    `request.recipe` is the text of a recipe's file. Never raises for a recipe or a model that does not do: then
    `problem` says why. Raises Cancelled.
    """
    raise NotImplementedError
