"""Every operation by the request that asks for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from app.convert.messages import Convert, Converted
from app.drafts.messages import DraftMade, DraftsPlanned, MakeDraft, PlanDraft
from app.engine.curve import FitCurve
from app.engine.messages import (
    Bench,
    BenchResult,
    CheckDraft,
    CompareDraft,
    ConversationOpened,
    CountTokens,
    DraftCheck,
    DraftFigures,
    DraftVerdict,
    Generate,
    LoadModel,
    MachineSpeed,
    MeasureFit,
    MeasureMachine,
    MeasureThreads,
    ModelLoaded,
    OpenConversation,
    PromptReady,
    ThreadCounts,
    Token,
    TokenCount,
    TooLarge,
)
from app.errors import AppError
from app.hub.messages import Download, Downloaded, DownloadProgress
from app.inspect.messages import Inside, LookAtTensor, LookInside, SuggestTypes, TensorLook, TypesSuggested
from app.library.messages import Verified, VerifyModel
from app.measure.messages import MeasureQuality, Quality
from app.operation import Context, Notice, Progress, Request, Result
from app.prune.messages import Prune, Pruned
from app.quantize.messages import (
    CollectImportance,
    ConversionPlanned,
    ImportanceCollected,
    Offers,
    PlanConversion,
    PlanOffers,
    Quantize,
    Quantized,
)
from app.recipe.messages import FinishModel, PlanRecipe, RecipePlanned
from app.recover.messages import PlanRecovery, Recover, Recovered, RecoveryPlanned

OPERATIONS: Mapping[type[Request], str] = {
    LoadModel: "app.engine.loaded:load_model",
    Generate: "app.engine.loaded:generate",
    CompareDraft: "app.engine.loaded:compare_with_draft",
    CheckDraft: "app.engine.loaded:check_with_draft",
    OpenConversation: "app.engine.loaded:open_conversation",
    CountTokens: "app.engine.loaded:count_tokens",
    MeasureThreads: "app.engine.loaded:measure_threads",
    Bench: "app.engine.bench:bench",
    MeasureFit: "app.engine.memory:measure_fit",
    MeasureMachine: "app.engine.machine_speed:measure_machine",
    Download: "app.hub.download:download",
    VerifyModel: "app.library.verify:verify",
    Convert: "app.convert.conversion:convert",
    Quantize: "app.quantize.quantize:quantize",
    CollectImportance: "app.quantize.importance:collect_importance",
    MeasureQuality: "app.measure.quality:measure_and_record",
    PlanOffers: "app.quantize.preview:plan_offers",
    PlanConversion: "app.quantize.preview:plan_conversion",
    Prune: "app.recipe.steps:prune_step",
    Recover: "app.recipe.steps:recover_step",
    PlanRecovery: "app.recipe.steps:plan_recovery_step",
    MakeDraft: "app.drafts.make_draft:make_draft",
    PlanRecipe: "app.recipe.plan:plan_recipe",
    PlanDraft: "app.drafts.options:plan_draft",
    FinishModel: "app.recipe.steps:finish_model",
    LookInside: "app.inspect.inspection:look_inside",
    LookAtTensor: "app.inspect.inspection:look_at_tensor",
    SuggestTypes: "app.inspect.suggesting:suggest_types",
}
"""Where the operation of each request is, as "module:function": it is imported when it is first asked for, so that
neither llama.cpp nor torch is loaded by what needs none."""

REQUESTS: tuple[type[Request], ...] = tuple(OPERATIONS)
"""All that can be asked."""

EVENTS: tuple[type, ...] = (
    Progress,
    Notice,
    PromptReady,
    Token,
    DraftFigures,
    DownloadProgress,
)
"""All that is said on the way."""

RESULTS: tuple[type, ...] = (
    TooLarge,
    ModelLoaded,
    ConversationOpened,
    TokenCount,
    ThreadCounts,
    BenchResult,
    Downloaded,
    Verified,
    FitCurve,
    MachineSpeed,
    Converted,
    Quantized,
    Offers,
    ConversionPlanned,
    ImportanceCollected,
    Quality,
    DraftVerdict,
    DraftCheck,
    Inside,
    TensorLook,
    TypesSuggested,
    Pruned,
    Recovered,
    RecoveryPlanned,
    DraftMade,
    RecipePlanned,
    DraftsPlanned,
)
"""All that comes of it at the end."""


def operation_of(request: type[Request]) -> Callable[[Request, Context], Result]:
    """The function for this type of request. Raises AppError for what is no request."""
    place = OPERATIONS.get(request)
    if place is None:
        raise AppError(f"The engine does not know how to do this: {request.__name__}.")
    module, _, name = place.partition(":")
    function: Callable[[Request, Context], Result] = getattr(importlib.import_module(module), name)
    return function


def run(request: Request, context: Context) -> Result:
    """Run one request to its end. Raises AppError, Cancelled."""
    return operation_of(type(request))(request, context)


def models_made(requests: Iterable[Request]) -> tuple[Path, ...]:
    """The models that are there of those that these make, folders first: a file may lie in one of them.

    Hidden folders are not among them: they only lead to another one.
    """
    made = (_model_made(request) for request in requests)
    there = [path for path in dict.fromkeys(made) if path is not None and path.exists() and path.name[0] != "."]
    return tuple(sorted(there, key=lambda path: not path.is_dir()))


def _model_made(request: Request) -> Path | None:
    match request:
        case FinishModel():
            return request.model
        case Prune() | Recover() | Quantize() | Convert() | MakeDraft():
            return request.output
        case _:
            return None
