"""Everything that drafting needs, at the load of a model: may it draft, the draft model, what batches cost here."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from app.engine import loading_marker, machine_record
from app.engine.batch_costs import BatchCosts, measure_batches
from app.engine.draft_model import DraftModel
from app.engine.drafting import Drafting
from app.engine.kv_cache import KvCache
from app.engine.llama import Model
from app.engine.memory import draft_need
from app.engine.messages import DraftLoaded, LoadModel, MemoryNeed, ThreadCounts
from app.engine.prompt_lookup import PromptLookup
from app.errors import AppError, Cancelled
from app.library.gguf_file import model_name, read_header
from app.library.vocabulary import read_vocabulary, vocabulary_problem
from app.operation import Progress, Report, Stage, StopFlag
from app.system.paths import Paths

_LARGEST_BATCH = 32
_STRIDE = 7919
"""A prime: the tokens of a timed batch are spread over the vocabulary, because in a mixture they need other experts."""

_CANNOT_TAKE_BACK = "hybrid models cannot take tokens back"


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedDrafting:
    """The sources that are ready (None where there are none), and why one that was asked for is not among them."""

    drafting: Drafting | None = None
    draft: DraftLoaded | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DraftTarget:
    """The loaded model, as drafting sees it."""

    model: Model
    cache: KvCache
    threads: ThreadCounts
    safe_mode: bool

    def name_of_costs(self) -> str:
        """A name for all that the cost of a batch depends on."""
        model = self.model
        mode = "safe" if self.safe_mode else "fast"
        return f"{model.weights_bytes} {model.quantization} {model.vocabulary_size} {self.threads.decode} {mode}"


@dataclasses.dataclass(frozen=True, slots=True)
class DraftPlan:
    """The draft that will be loaded, with its need, or why none will be."""

    path: Path | None = None
    need: MemoryNeed | None = None
    problem: str = ""


def plan_draft(request: LoadModel, context_tokens: int) -> DraftPlan:
    """What the draft that is asked for takes beside the model; no weight is read."""
    path = request.draft
    if path is None:
        return DraftPlan()
    try:
        if reason := read_header(path).chat_problem:
            return DraftPlan(problem=_without(path, reason))
        if reason := vocabulary_problem(read_vocabulary(request.path), read_vocabulary(path)):
            return DraftPlan(problem=_without(path, reason))
        return DraftPlan(path, draft_need(request, path, context_tokens))
    except AppError as error:
        return DraftPlan(problem=_without(path, error.sentence))


def load_drafting(
    request: LoadModel, plan: DraftPlan, target: DraftTarget, paths: Paths, report: Report, stop: StopFlag
) -> LoadedDrafting:
    """Make ready what the request asks for. A draft that cannot be used is left out, with its reason: the model itself
    is not held up by it. Raises Cancelled after a stop.
    """
    if target.model.is_recurrent:
        return LoadedDrafting(problem=_without(request.draft, _CANNOT_TAKE_BACK) if request.draft else "")
    draft, loaded, problem = None, None, plan.problem
    if plan.path is not None and plan.need is not None:
        try:
            draft = _load_draft(request, plan.path, target, paths, report, stop)
            name = model_name(plan.path, draft.model.metadata("general.name"))
            loaded = DraftLoaded(plan.path, name, plan.need, draft.step_ms)
        except AppError as error:
            problem = _without(plan.path, error.sentence)
    if draft is None and not request.prompt_lookup:
        return LoadedDrafting(problem=problem)
    try:
        costs = BatchCosts(_batch_costs(target, paths, report, stop))
    except BaseException:
        if draft is not None:
            draft.close()
        raise
    lookup = PromptLookup() if request.prompt_lookup else None
    return LoadedDrafting(Drafting(costs, draft, lookup), loaded, problem)


def _without(draft: Path, reason: str) -> str:
    return f"Loaded without the draft model {draft.stem}: {reason.rstrip('.')}."


def _load_draft(
    request: LoadModel, path: Path, target: DraftTarget, paths: Paths, report: Report, stop: StopFlag
) -> DraftModel:
    """Raises AppError with the reason, Cancelled."""
    report(Progress(Stage.LOAD_DRAFT, 0, 1))
    context = target.cache.context
    with loading_marker.loading(paths.loading_marker, path, target.safe_mode) as stage:
        try:
            draft = DraftModel.load(
                path, request, context.context_tokens, target.model.vocabulary_size, target.safe_mode, stop
            )
        except AppError:
            if stop():
                raise Cancelled from None
            raise
        try:
            if draft.model.is_recurrent:
                raise AppError(_CANNOT_TAKE_BACK)
            stage.enter(Stage.WARM_UP)
            # A small model is often fastest on one core: it meets at barriers as often, for less work between them.
            draft.warm_up(sorted({1, target.threads.decode}), stop)
        except BaseException:
            draft.close()
            raise
    report(Progress(Stage.LOAD_DRAFT, 1, 1))
    return draft


def _batch_costs(target: DraftTarget, paths: Paths, report: Report, stop: StopFlag) -> dict[int, float]:
    """The costs as measured here at an earlier load, or now. Raises Cancelled."""
    name = target.name_of_costs()
    if known := machine_record.batch_costs(paths.machine, name):
        return known
    cache = target.cache
    cache.context.set_threads(target.threads.decode, target.threads.decode)
    largest = min(_LARGEST_BATCH, cache.context.context_tokens // 2, cache.context.batch_tokens)

    def run_ms(size: int) -> float:
        tokens = [i * _STRIDE % target.model.vocabulary_size for i in range(1, size + 1)]
        cache.clear()
        start = time.perf_counter()
        if not cache.verify(tokens, size):
            raise Cancelled
        return (time.perf_counter() - start) * 1000

    try:
        costs = measure_batches(run_ms, largest, report, stop)
    finally:
        cache.clear()
    machine_record.remember_batch_costs(paths.machine, name, costs)
    return costs
