"""How many layers a draft made of a model itself should keep: what each count would read, and promises to gain.

Wide and shallow: a draft's time goes with its depth, and how often it guesses right depends far less on it
(arXiv 2402.01528). The first layer always stays.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from app.drafts.messages import DraftCost, DraftOption, DraftsPlanned, MakeDraft, PlanDraft
from app.engine.messages import LEAST_CONTEXT_TOKENS
from app.errors import DraftError
from app.fit.drafts import predicted_speed_up, vocabularies_problem
from app.fit.judgement import ReadProfile
from app.fit.speed import predicted_ms, read_speed_book
from app.library.gguf_file import read_header
from app.operation import Context, ShouldStop
from app.prune.messages import PruneMethod
from app.quantize.messages import PlanConversion, PlannedFile
from app.quantize.preview import plan_conversion
from app.recipe.messages import PlanRecipe
from app.recipe.plan import cut_stub, plan_recipe, write_stub
from app.recipe.recipe import PruneStep, Recipe, RecoverStep, as_toml
from app.recipe.words import Shape, shape_of
from app.system.files import own_folder
from app.system.paths import Paths

SHALLOW_ACCEPTANCE, DEEP_ACCEPTANCE = 0.35, 0.7
"""Share of the guesses that is right, assumed before it is measured: of a draft with almost no layers, and of one with
all of them (drafts of the same family reach 0.53 to 0.82: Leviathan et al. 2023, arXiv 2211.17192, table 2)."""


def plan_draft(request: PlanDraft, context: Context) -> DraftsPlanned:
    """What drafts can be made, and what each costs. Raises DraftError, ConversionError, ModelFileError, Cancelled."""
    options = draft_options(request.draft, context.paths, context.stop)
    return DraftsPlanned(request.draft, options, draft_costs(request.draft, context.paths, context.stop))


def draft_options(request: MakeDraft, paths: Paths, stop: ShouldStop) -> tuple[DraftOption, ...]:
    """One for each number of layers below the model's own. Reads headers alone.

    Raises DraftError for a target of another vocabulary or a model of one layer, ConversionError, ModelFileError.
    """
    shape = shape_of(request.source)
    if shape.layers < 2:
        raise DraftError(
            "The model has one layer: nothing can be left out of it.", "Take a smaller model as the draft."
        )
    with own_folder() as folder:
        counts = sorted({1, shape.layers - 1})
        ends = [_planned(request, dataclasses.replace(shape, layers=n), folder, stop) for n in counts]
    costs = [_cost(request, file, paths) for file in ends]
    slope = (costs[-1] - costs[0]) / max(1, counts[-1] - counts[0])
    return tuple(_option(n, shape.layers, costs[0] + slope * (n - 1)) for n in range(1, shape.layers))


def assumed_acceptance(kept: float) -> float:
    """The acceptance that is assumed of a draft with this share of the layers."""
    return SHALLOW_ACCEPTANCE + (DEEP_ACCEPTANCE - SHALLOW_ACCEPTANCE) * math.sqrt(kept)


def _option(layers: int, of: int, cost: float) -> DraftOption:
    acceptance = assumed_acceptance(layers / of)
    return DraftOption(layers, cost, acceptance, predicted_speed_up(cost, acceptance))


def _planned(request: MakeDraft, shape: Shape, folder: Path, stop: ShouldStop) -> PlannedFile:
    """The file of a draft in that shape; and that its vocabulary is the target's."""
    stub = folder / str(shape.layers)
    write_stub(cut_stub(request.source, shape), stub, request.source)
    _check_vocabulary(request, stub, folder)
    return plan_conversion(PlanConversion(stub, (request.type,), (LEAST_CONTEXT_TOKENS,)), Context(stop=stop)).files[0]


def _check_vocabulary(request: MakeDraft, stub: Path, folder: Path) -> None:
    from app.convert.conversion import write_header

    header = folder / f"{stub.name}.gguf"
    write_header(stub, header, "bf16")
    if problem := vocabularies_problem(request.target, header):
        raise DraftError(
            f"What is made of “{request.source.name}” cannot draft for “{request.target.name}”: {problem}.",
            "Give the GGUF file that was made of this very folder.",
        )


def _cost(request: MakeDraft, draft: PlannedFile, paths: Paths) -> float:
    """The cost by this machine's speed where it was measured, else by the bytes that are read."""
    target = ReadProfile.of_header(read_header(request.target))
    speed = read_speed_book(paths.speed).speed
    if speed is None:
        return draft.reads.total_bytes / max(1, target.total_bytes)
    return predicted_ms(draft.reads, 0, speed) / predicted_ms(target, 0, speed)


# What making a draft takes, before anything is done: the plan of a recipe that cuts and teaches in the same way.


TRIAL_SECONDS = 90.0
"""Three questions, each answered with and without the draft: see app.drafts.make_draft."""


def draft_costs(request: MakeDraft, paths: Paths, stop: ShouldStop) -> tuple[DraftCost, ...]:
    """One for each number of layers below the model's own, as `draft_options` has them.

    The fewest and the most are planned; between them all of it grows by the layer. Raises ConversionError, Cancelled.
    """
    layers = shape_of(request.source).layers
    least, most = (_planned_cost(request, kept, layers, paths, stop) for kept in (1, layers - 1))
    return tuple(_between(least, most, (kept - 1) / max(1, layers - 2)) for kept in range(1, layers))


def _planned_cost(request: MakeDraft, kept: int, layers: int, paths: Paths, stop: ShouldStop) -> DraftCost:
    steps = (
        PruneStep(PruneMethod.LAYERS, 1 - kept / layers),
        RecoverStep(request.method, request.budget_tokens, request.text),
    )
    recipe = as_toml(Recipe("Draft", steps))
    plan = plan_recipe(PlanRecipe(request.source, recipe, LEAST_CONTEXT_TOKENS), Context(paths=paths, stop=stop))
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
