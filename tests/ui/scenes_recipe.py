"""The Workshop's recipe with sample plans: empty, full, being planned, running, failed, with every kind of step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.drafts.messages import DraftCost, DraftOption, DraftsPlanned
from app.fit.draft_suggestions import Sibling
from app.fit.judgement import MemoryBudget
from app.fit.verdict import Verdict
from app.library.library import ModelEntry
from app.library.provenance import FfnCut, Quantization, Recovery
from app.measure.ledger import Figures
from app.measure.messages import Estimate
from app.operation import Progress
from app.operation import Stage as Phase
from app.prune.messages import LayerImportance, PruneMethod
from app.quantize.messages import Offers, Quantize
from app.recipe.messages import RecipePlanned, ResultPlan, StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, Step
from app.recover.messages import RecoverMethod
from tests.ui.scenes import GB, Stage
from tests.ui.scenes_ledger import FOLDER, figures, fill, source, variants
from tests.ui.scenes_smaller import offers
from tests.ui.seen import clock_of
from ui.drafts.making import DraftMaking
from ui.navigation import Page
from ui.workshop.counterparts import found_words
from workers.jobs import Job, JobState, JobStatus
from workers.protocol import Failure

BUDGET = MemoryBudget(14 * GB, int(9.2 * GB))
RECIPE = Recipe(
    "Smaller feed-forward, recovered, Q4", (PruneStep(PruneMethod.FFN, 0.25), RecoverStep(), QuantizeStep())
)


def plan_of(recipe: Recipe, path: Path = FOLDER) -> RecipePlanned:
    """As the planner would answer for a 1.7B model."""
    types = next((step.types for step in recipe.steps if isinstance(step, QuantizeStep)), ("BF16",))
    sizes = {"Q4_K_M": 0.93, "Q8_0": 1.53, "BF16": 2.9}
    results = tuple(
        ResultPlan(kind, int(sizes.get(kind, 1.0) * GB), int((sizes.get(kind, 1.0) + 0.66) * GB), 71.4)
        for kind in types
    )
    steps = tuple(_step_plan(step) for step in recipe.steps)
    return RecipePlanned(path, steps, results, 1_410_000_000, int(7.3 * GB), int(61.2 * GB))


_QUANTIZE_WORDS = (
    "One file to chat with (Q4_K_M): each weight is rounded, weighed by what flows through it. Then quality and speed "
    "are measured against the original, for the table of results."
)


def _step_plan(step: Step) -> StepPlan:
    if isinstance(step, PruneStep):
        return StepPlan(
            240, int(1.4 * GB), int(2.9 * GB), int(2.9 * GB),
            "The feed-forward part of each layer narrows from 6,144 to 4,608: file, memory and time for a token "
            "shrink, the conversation (KV cache) does not. What remains is fitted to what the whole gave.",
        )  # fmt: skip
    if isinstance(step, QuantizeStep):
        return StepPlan(150, int(1.1 * GB), int(3.8 * GB), int(0.93 * GB), _QUANTIZE_WORDS)
    return StepPlan(
        3300, int(5.8 * GB), int(2.9 * GB), int(2.9 * GB),
        "The model learns from the original on 80,000 tokens of a text that the original writes: better answers, the "
        "same size and speed. Where it is no better afterwards on text it has not seen, the model stays as it was. "
        "The time is a cautious guess: nothing of this kind has run on this computer yet.",
    )  # fmt: skip


def show(stage: Stage, recipe: Recipe = RECIPE, entry: ModelEntry | None = None, *, panel: bool = False) -> None:
    """The page with this recipe, not planned yet. No child is asked."""
    hub = stage.program.hub
    hub.recipes.plan = lambda *_: None
    hub.recipes.offers = lambda *_: None
    hub.speed.measure = lambda: None
    fill(stage)
    if entry is not None:
        stage.program.models.set_entries((entry, *stage.program.models.entries))
    stage.program.state.update(show_performance_panel=panel)
    stage.window.show_page(Page.WORKSHOP)
    pane = stage.program.workshop_page.make
    pane.choose(entry.path if entry is not None else FOLDER)
    pane.editor.show_recipe(recipe)
    pane.refresh()


def answer(stage: Stage, recipe: Recipe = RECIPE, path: Path = FOLDER, **changes: object) -> None:
    """The planner's answer arrives."""
    pane = stage.program.workshop_page.make
    stage.wait_for(lambda: not clock_of(pane).isActive())
    known = offers()
    sixteen = dataclasses.replace(known.offers[-1], type="BF16", size_bytes=int(3.45 * GB), ms_per_token=262.0)
    pane.set_budget(BUDGET)
    pane.show_offers(Offers(path, (*known.offers, sixteen), 0, 190.0))
    pane.show_plan(dataclasses.replace(plan_of(recipe, path), **changes))


def recipe(stage: Stage) -> None:
    show(stage)
    answer(stage)


def recipe_panel(stage: Stage) -> None:
    show(stage, panel=True)
    answer(stage)


def recipe_narrow(stage: Stage) -> None:
    stage.window.resize(900, 600)
    show(stage)
    answer(stage)


def recipe_narrow_panel(stage: Stage) -> None:
    stage.window.resize(900, 600)
    show(stage, panel=True)
    answer(stage)


def recipe_empty(stage: Stage) -> None:
    stage.program.state.update(show_performance_panel=False)
    stage.window.show_page(Page.WORKSHOP)


def recipe_no_steps(stage: Stage) -> None:
    show(stage, Recipe("Nothing yet"))


def recipe_planning(stage: Stage) -> None:
    show(stage)
    answer(stage)
    stage.program.workshop_page.make.editor.cards[0].fields.edit(amount=0.5)


def recipe_layers(stage: Stage) -> None:
    steps = (
        PruneStep(PruneMethod.LAYERS, 4 / 28, importance=LayerImportance.LEAVE_OUT),
        RecoverStep(RecoverMethod.FULL, 1_000_000, progressive=True, quantization_aware="Q4_0"),
        QuantizeStep(("Q4_0", "Q8_0"), calibrate=False),
    )
    _all_open(stage, Recipe("Fewer layers, recovered overnight, Q4", steps))


def recipe_groups(stage: Stage) -> None:
    steps = (PruneStep(PruneMethod.KV_GROUPS, 0.25, rounds=3), QuantizeStep(("Q4_0",), best=True))
    _all_open(stage, Recipe("Fewer KV groups in rounds", steps))


def recipe_sparse(stage: Stage) -> None:
    steps = (
        PruneStep(PruneMethod.SPARSEGPT, 0.5, "2:4", rewind="/models/early/Qwen3-1.7B-step-2000"),
        RecoverStep(RecoverMethod.QLORA, text="/home/me/texts/letters.txt"),
    )
    _all_open(stage, Recipe("Sparse lesson (no gain in size or speed)", steps))


def recipe_ffn_more(stage: Stage) -> None:
    _all_open(stage, Recipe("Half the feed-forward", (PruneStep(PruneMethod.FFN, 0.46, width_multiple=32),)))


def _all_open(stage: Stage, recipe: Recipe) -> None:
    show(stage, recipe)
    answer(stage, recipe)
    for card in stage.program.workshop_page.make.editor.cards:
        card.fields.more.setChecked(True)


def recipe_problem(stage: Stage) -> None:
    show(stage)
    answer(
        stage,
        problem="Learning from the original needs about 17.1 GB of memory; this computer can give 14.0 GB. "
        "Take QLoRA, or a smaller model.",
    )


def recipe_too_slow(stage: Stage) -> None:
    show(stage)
    answer(stage, results=(ResultPlan("Q4_K_M", int(7.2 * GB), int(7.9 * GB), 612.0),))


def recipe_long_names(stage: Stage) -> None:
    name = "Meta-Llama-3.1-8B-Instruct-with-a-very-long-name-of-its-maker-and-of-its-purpose"
    entry = dataclasses.replace(source(), path=Path("/models") / name, name=name)
    recipe = Recipe("A recipe whose name its author wanted to be exact, with every number that matters in it, and "
                    "more", RECIPE.steps)  # fmt: skip
    show(stage, recipe, entry, panel=True)
    answer(stage, recipe, entry.path)


def job(state: JobState, failure: Failure | None = None) -> JobStatus:
    """A recipe's job in this state."""
    output = FOLDER.with_name("Qwen3-1.7B-ffn-25") / "Qwen3-1.7B-ffn-25-Q4_K_M.gguf"
    request = Quantize(FOLDER, output, "Q4_K_M")
    title = f"{RECIPE.name}: {FOLDER.name}"
    work = Job(title, (request, request, request, request), stages=(0, 1, 2, 2), stage_count=3)
    return JobStatus(7, work, state, Progress(Phase.RECOVER, 412, 1000, 1480.0), 1, failure=failure)


def recipe_running(stage: Stage) -> None:
    recipe(stage)
    stage.window.strip.show_job(job(JobState.RUNNING))
    stage.program.workshop_page.make.show_job(job(JobState.RUNNING))


def recipe_failed(stage: Stage) -> None:
    recipe(stage)
    failure = Failure(
        "The disk is full: 2.9 GB are needed in /models/qwen, 1.2 GB are free.", "Free some space on that disk."
    )
    pane = stage.program.workshop_page.make
    pane.error.show_failure(
        dataclasses.replace(failure, hint=f"{failure.hint} What is finished is kept: run it again, and it goes on.")
    )
    pane.error.add_button("Run again", lambda: None)


def recipe_done(stage: Stage) -> None:
    show(stage)
    answer(stage, notice="“Qwen3-1.7B-ffn4608” is there already, made by these very steps.", then="measures it again")
    bar = stage.program.workshop_page.make.notice
    bar.say(
        "Qwen3-1.7B-ffn4608-Q4_K_M.gguf is here. Learning brought its distance to the original (KL) from 0.42 to 0.11."
    )
    bar.add_button("Chat", lambda: None)
    bar.add_button("Compare", lambda: None)


def pruned() -> ModelEntry:
    """What came of RECIPE."""
    known = variants()[2]
    assert known.header is not None
    assert known.origin is not None
    path = FOLDER.with_name("Qwen3-1.7B-ffn4608-recovered") / "Qwen3-1.7B-ffn4608-recovered-Q4_K_M.gguf"
    steps = (FfnCut(6144, (4608,)), Recovery("lora", 80_000), Quantization("Q4_K_M", importance=True))
    origin = dataclasses.replace(known.origin, parent="../Qwen3-1.7B", steps=steps)
    header = dataclasses.replace(known.header, file_bytes=int(0.93 * GB), tensor_bytes=int(0.93 * GB))
    return dataclasses.replace(
        known, path=path, name=path.stem, size_bytes=int(0.93 * GB), header=header, parts=(path,), origin=origin
    )


def figures_with_pruned() -> dict[Path, Figures]:
    """Of the variants and of the pruned one."""
    found = figures()
    whole = found[variants()[3].path]
    (quality,) = whole.measurements
    quality = dataclasses.replace(
        quality, perplexity=Estimate(15.88, 0.37), kl_mean=Estimate(0.0721, 0.004), top_1=Estimate(0.884, 0.005)
    )
    assert whole.speed is not None
    speed = dataclasses.replace(whole.speed, ms_per_token=70.9, peak_memory_bytes=int(1.6 * GB))
    return found | {pruned().path: Figures((quality,), speed)}


NO_HUB = "Ready-made smaller models could not be looked for: huggingface.co could not be reached."
READY_MADE = Sibling(
    "Qwen/Qwen3-0.6B-GGUF", "Q8_0", "Qwen3-0.6B-Q8_0.gguf", int(0.64 * GB), int(1.2 * GB), Verdict.FITS
)


def compared(stage: Stage) -> None:
    show(stage)
    stage.program.hub.ready_made.look = lambda *_: None
    stage.program.models.set_entries((*stage.program.models.entries, pruned()))
    stage.program.models.set_figures(figures_with_pruned())
    stage.program.workshop_page.show_result(pruned().path)
    stage.program.workshop_page.compare.show_ready_made(pruned().path, READY_MADE, found_words(READY_MADE))


def compared_offline(stage: Stage) -> None:
    compared(stage)
    stage.program.state.update(show_performance_panel=True)
    stage.program.workshop_page.compare.show_ready_made(pruned().path, None, NO_HUB)


def compared_predicted(stage: Stage) -> None:
    """Nothing but the pruned model was measured."""
    compared(stage)
    stage.program.models.set_entries((source(), pruned()))
    stage.program.models.set_figures(figures_with_pruned())
    known = offers()
    plain = dataclasses.replace(known.offers[-1], type="BF16", size_bytes=int(3.45 * GB), ms_per_token=262.0)
    stage.program.workshop_page.compare.show_offers(Offers(FOLDER, (*known.offers, plain), 0, 0.0))


def compared_narrow(stage: Stage) -> None:
    stage.window.resize(900, 600)
    compared_offline(stage)


DRAFT_COST = DraftCost(3300.0, int(5.8 * GB), int(7.3 * GB), int(61.2 * GB))


def draft_dialog(stage: Stage) -> QWidget:
    show(stage)
    hub = stage.program.hub
    hub.recipes.drafts = lambda *_: None
    dialog = DraftMaking(stage.program.services, stage.program.models, stage.window, stage.program.bars).open(source())
    costs = [0.06 + 0.033 * layers for layers in range(1, 28)]
    options = tuple(
        DraftOption(layers, cost, 0.35 + 0.35 * (layers / 28) ** 0.5, 1.52 - 0.03 * abs(layers - 5))
        for layers, cost in enumerate(costs, 1)
    )
    dialog.show_plan(DraftsPlanned(dialog.request(), options, (DRAFT_COST,) * len(options)))
    return dialog


def draft_dialog_no_gain(stage: Stage) -> QWidget:
    dialog = draft_dialog(stage)
    dialog.show_plan(DraftsPlanned(dialog.request(), (DraftOption(1, 0.7, 0.41, 0.94),), (DRAFT_COST,)))
    return dialog


RECIPE_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    recipe, recipe_panel, recipe_narrow, recipe_narrow_panel, recipe_empty, recipe_no_steps, recipe_planning,
    recipe_layers, recipe_groups, recipe_sparse, recipe_ffn_more, recipe_problem, recipe_too_slow, recipe_long_names,
    recipe_running, recipe_failed, recipe_done, compared, compared_offline, compared_predicted,
    compared_narrow, draft_dialog, draft_dialog_no_gain,
)  # fmt: skip
