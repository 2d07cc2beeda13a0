"""What making a draft takes, before anything is done: the plan of a recipe that cuts and teaches in the same way."""

from __future__ import annotations

from app.drafts.messages import DraftCost, MakeDraft
from app.engine.messages import LEAST_CONTEXT_TOKENS
from app.operation import ShouldStop
from app.prune.messages import PruneMethod
from app.recipe.messages import PlanRecipe
from app.recipe.plan import plan_recipe
from app.recipe.recipe import PruneStep, Recipe, RecoverStep, as_toml
from app.recipe.shape import shape_of
from app.system.paths import Paths

TRIAL_SECONDS = 90.0
"""Three questions, each answered with and without the draft: see app.drafts.make_draft."""


def draft_costs(request: MakeDraft, paths: Paths, stop: ShouldStop) -> tuple[DraftCost, ...]:
    """One for each number of layers below the model's own, as `draft_options` has them.

    The fewest and the most are planned; between them all of it grows by the layer. Raises ConversionError, Cancelled.
    """
    layers = shape_of(request.source).layers
    least, most = (_planned(request, kept, layers, paths, stop) for kept in (1, layers - 1))
    return tuple(_between(least, most, (kept - 1) / max(1, layers - 2)) for kept in range(1, layers))


def _planned(request: MakeDraft, kept: int, layers: int, paths: Paths, stop: ShouldStop) -> DraftCost:
    steps = (
        PruneStep(PruneMethod.LAYERS, 1 - kept / layers),
        RecoverStep(request.method, request.budget_tokens, request.text),
    )
    recipe = as_toml(Recipe("Draft", steps))
    plan = plan_recipe(PlanRecipe(request.source, recipe, LEAST_CONTEXT_TOKENS), paths, stop)
    seconds = sum(step.seconds for step in plan.steps) + TRIAL_SECONDS
    memory = max((step.peak_memory_bytes for step in plan.steps), default=0)
    return DraftCost(seconds, memory, plan.disk_bytes, plan.free_disk_bytes, plan.problem)


def _between(least: DraftCost, most: DraftCost, share: float) -> DraftCost:
    def at(first: float, last: float) -> float:
        return first + (last - first) * share

    return DraftCost(
        seconds=at(least.seconds, most.seconds),
        memory_bytes=round(at(least.memory_bytes, most.memory_bytes)),
        disk_bytes=round(at(least.disk_bytes, most.disk_bytes)),
        free_disk_bytes=least.free_disk_bytes,
        problem=least.problem,
    )
