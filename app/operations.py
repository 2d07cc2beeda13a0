"""Every operation by the request that asks for it."""

from __future__ import annotations

from collections.abc import Iterable
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
from app.hub.messages import Download, Downloaded, DownloadProgress
from app.inspect.messages import Inside, LookAtTensor, LookInside, SuggestTypes, TensorLook, TypesSuggested
from app.library.messages import Verified, VerifyModel
from app.measure.messages import MeasureQuality, Quality
from app.operation import Notice, Progress, Request
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

REQUESTS: tuple[type, ...] = (
    LoadModel,
    Generate,
    CompareDraft,
    CheckDraft,
    OpenConversation,
    CountTokens,
    MeasureThreads,
    Bench,
    MeasureFit,
    MeasureMachine,
    Download,
    VerifyModel,
    Convert,
    Quantize,
    CollectImportance,
    MeasureQuality,
    PlanOffers,
    PlanConversion,
    Prune,
    Recover,
    PlanRecovery,
    MakeDraft,
    PlanRecipe,
    PlanDraft,
    FinishModel,
    LookInside,
    LookAtTensor,
    SuggestTypes,
)
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
