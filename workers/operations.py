"""What the child does for each request. Holds the loaded model; imports the engine when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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
    DraftVerdict,
    Generate,
    LoadModel,
    MachineSpeed,
    MeasureFit,
    MeasureMachine,
    MeasureThreads,
    ModelLoaded,
    OpenConversation,
    ThreadCounts,
    TokenCount,
    TooLarge,
)
from app.engine.stop_flag import StopFlag
from app.errors import AppError
from app.hub.messages import Download, Downloaded
from app.inspect.messages import Inside, LookAtTensor, LookInside, SuggestTypes, TensorLook, TypesSuggested
from app.library.messages import Verified, VerifyModel
from app.measure.messages import MeasureQuality, Quality
from app.operation import Report, Request, Result
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
from app.system.paths import Paths, default_paths

if TYPE_CHECKING:
    from app.engine.session import Session

Operation = Callable[[Any, Report, StopFlag], Result]


class Operations:
    """One loaded model at most, and a function for each type of request."""

    def __init__(self, paths: Paths | None = None) -> None:
        self._paths = paths or default_paths()
        self._session: Session | None = None
        self._table: Mapping[type, Operation] = {
            LoadModel: self._load,
            Generate: self._generate,
            CompareDraft: self._compare_draft,
            CheckDraft: self._check_draft,
            OpenConversation: self._open_conversation,
            CountTokens: self._count_tokens,
            MeasureThreads: self._measure_threads,
            Bench: self._bench,
            Download: self._download,
            VerifyModel: self._verify,
            MeasureFit: self._measure_fit,
            MeasureMachine: self._measure_machine,
            Convert: self._convert,
            Quantize: self._quantize,
            CollectImportance: self._collect_importance,
            MeasureQuality: self._measure_quality,
            PlanOffers: self._plan_offers,
            PlanConversion: self._plan_conversion,
            Recover: self._recover,
            PlanRecovery: self._plan_recovery,
            FinishModel: self._finish_model,
            PlanRecipe: self._plan_recipe,
            MakeDraft: self._make_draft,
            PlanDraft: self._plan_draft,
            Prune: self._prune,
            LookInside: self._look_inside,
            LookAtTensor: self._look_at_tensor,
            SuggestTypes: self._suggest_types,
        }

    def run(self, request: Request, report: Report, stop: StopFlag) -> Result:
        """Run one request to its end. Raises AppError, Cancelled."""
        operation = self._table.get(type(request))
        if operation is None:
            raise AppError(f"The engine does not know how to do this: {type(request).__name__}.")
        return operation(request, report, stop)

    @property
    def _loaded(self) -> Session:
        if self._session is None:
            raise AppError("No model is loaded.", "Load one on the Models page.")
        return self._session

    def _load(self, request: LoadModel, report: Report, stop: StopFlag) -> ModelLoaded | TooLarge:
        # Here and not above: the import takes a quarter of a second, and a failure becomes this request's sentence.
        from app.engine.session import Session

        if self._session is not None:
            self._session.close()
            self._session = None
        session = Session.load(request, self._paths, report, stop)
        if isinstance(session, TooLarge):
            return session
        self._session = session
        return session.loaded

    def _generate(self, request: Generate, report: Report, stop: StopFlag) -> None:
        for token in self._loaded.generate(request, report, stop):
            report(token)

    def _compare_draft(self, request: CompareDraft, report: Report, stop: StopFlag) -> DraftVerdict:
        from app.engine.draft_trial import compare_draft

        return compare_draft(self._loaded, request, report, stop)

    def _check_draft(self, request: CheckDraft, report: Report, stop: StopFlag) -> DraftCheck:
        from app.engine.draft_trial import check_draft

        return check_draft(self._loaded, request, report, stop)

    def _open_conversation(self, request: OpenConversation, report: Report, stop: StopFlag) -> ConversationOpened:
        return self._loaded.open_conversation(request)

    def _count_tokens(self, request: CountTokens, report: Report, stop: StopFlag) -> TokenCount:
        return self._loaded.count_tokens(request)

    def _measure_threads(self, request: MeasureThreads, report: Report, stop: StopFlag) -> ThreadCounts:
        return self._loaded.measure_threads(report, stop)

    def _bench(self, request: Bench, report: Report, stop: StopFlag) -> BenchResult | TooLarge:
        from app.engine.bench import bench

        return bench(request, self._paths, report, stop)

    def _download(self, request: Download, report: Report, stop: StopFlag) -> Downloaded:
        from app.hub.download import download

        return download(request, report, stop)

    def _verify(self, request: VerifyModel, report: Report, stop: StopFlag) -> Verified:
        from app.library.verify import verify

        return verify(request, report, stop)

    def _measure_fit(self, request: MeasureFit, report: Report, stop: StopFlag) -> FitCurve:
        from app.engine.memory import measure_fit

        return measure_fit(request, stop)

    def _measure_machine(self, request: MeasureMachine, report: Report, stop: StopFlag) -> MachineSpeed:
        from app.engine.machine_speed import measure_machine

        return measure_machine(self._paths, report, stop)

    def _convert(self, request: Convert, report: Report, stop: StopFlag) -> Converted:
        from app.convert.conversion import convert

        return convert(request, report, stop)

    def _quantize(self, request: Quantize, report: Report, stop: StopFlag) -> Quantized:
        from app.quantize.quantize import quantize

        return quantize(request, report, stop)

    def _collect_importance(self, request: CollectImportance, report: Report, stop: StopFlag) -> ImportanceCollected:
        from app.quantize.importance import collect_importance

        return collect_importance(request, report, stop)

    def _measure_quality(self, request: MeasureQuality, report: Report, stop: StopFlag) -> Quality:
        from app.measure.ledger import record
        from app.measure.quality import measure_quality

        quality = measure_quality(request, self._paths, report, stop)
        record(self._paths.ledger, quality)  # here and not in the window, which may be gone by now
        return quality

    def _plan_offers(self, request: PlanOffers, report: Report, stop: StopFlag) -> Offers:
        from app.quantize.preview import plan_offers

        return plan_offers(request, self._paths, stop)

    def _plan_conversion(self, request: PlanConversion, report: Report, stop: StopFlag) -> ConversionPlanned:
        from app.quantize.preview import plan_conversion

        return plan_conversion(request, stop)

    def _prune(self, request: Prune, report: Report, stop: StopFlag) -> Pruned:
        from app.recipe.steps import prune_step

        return prune_step(request, self._paths, report, stop)

    def _recover(self, request: Recover, report: Report, stop: StopFlag) -> Recovered:
        from app.recipe.steps import recover_step

        return recover_step(request, self._paths, report, stop)

    def _plan_recovery(self, request: PlanRecovery, report: Report, stop: StopFlag) -> RecoveryPlanned:
        from app.system.frozen import require_torch

        require_torch()
        from app.recover.plan import plan_recovery

        return plan_recovery(request, report, stop)

    def _finish_model(self, request: FinishModel, report: Report, stop: StopFlag) -> None:
        from app.recipe.steps import finish_model

        finish_model(request)

    def _plan_recipe(self, request: PlanRecipe, report: Report, stop: StopFlag) -> RecipePlanned:
        from app.recipe.plan import plan_recipe

        return plan_recipe(request, self._paths, stop)

    def _plan_draft(self, request: PlanDraft, report: Report, stop: StopFlag) -> DraftsPlanned:
        from app.drafts.options import draft_costs, draft_options

        options = draft_options(request.draft, self._paths, stop)
        return DraftsPlanned(request.draft, options, draft_costs(request.draft, self._paths, stop))

    def _make_draft(self, request: MakeDraft, report: Report, stop: StopFlag) -> DraftMade:
        from app.drafts.make_draft import make_draft

        return make_draft(request, self._paths, report, stop)

    def _look_inside(self, request: LookInside, report: Report, stop: StopFlag) -> Inside:
        from app.inspect.inspection import look_inside

        return look_inside(request)

    def _look_at_tensor(self, request: LookAtTensor, report: Report, stop: StopFlag) -> TensorLook:
        from app.inspect.inspection import look_at_tensor

        return look_at_tensor(request, report, stop)

    def _suggest_types(self, request: SuggestTypes, report: Report, stop: StopFlag) -> TypesSuggested:
        from app.inspect.suggesting import suggest_types

        return suggest_types(request, self._paths, report, stop)
