"""A draft made of the model itself: few of its layers, taught by the whole model, quantized, tried out.

cut -> recover -> quantize -> compare -> choose. What is on the way lies in a hidden folder beside the result; the same
request goes on from there after an interruption.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from app.drafts.messages import DraftMade, DraftOption, MakeDraft, workspace
from app.engine.machine_record import choose_draft, remember_ratio
from app.engine.messages import CompareDraft, LoadModel, Message, Role, TooLarge
from app.errors import AppError, DraftError, ModelFileError, StorageError
from app.fit.drafts import vocabularies_problem
from app.operation import Context, Notice, Report
from app.prune.messages import Prune, PruneMethod
from app.quantize.messages import Quantize
from app.recipe.messages import FinishModel
from app.recover.messages import Recover
from app.system.files import read_json, write_atomic
from app.system.paths import Paths
from app.units import percent

if TYPE_CHECKING:
    from app.engine.messages import DraftVerdict
    from app.operation import StopFlag

_PROMPTS, _SECONDS_EACH = 3, 15.0
_KL = "divergence.json"


@dataclass(frozen=True, slots=True)
class _Taught:
    """The cut model after its training."""

    path: Path
    kl_before: float
    kl_after: float


def make_draft(request: MakeDraft, context: Context) -> DraftMade:
    """Make `request.output`, measure what it gains, and choose it as the target's draft where that is a gain.

    Raises DraftError, and what pruning, recovering, quantizing and loading raise; Cancelled, with the work folder left
    to go on from.
    """
    begun = time.monotonic()
    option = _chosen(request, context.paths, context.report, context.flag)
    work = workspace(request)
    work.mkdir(exist_ok=True)
    learned = _taught(request, option, work, context.paths, context.report, context.flag)
    _quantized(request, learned.path, context.report, context.flag)
    shutil.rmtree(work, ignore_errors=True)
    if problem := vocabularies_problem(request.target, request.output):
        raise DraftError(f"The draft was made, and cannot be used: {problem}.", "Report this: it should not happen.")
    gc.collect()  # the models that were trained are large, and the next is to be measured
    verdict = _tried(request, context.paths, context.report, context.flag)
    _chosen_where_it_pays(request, verdict, context.paths, context.report)
    return DraftMade(
        path=request.output,
        layers=option.layers,
        acceptance=verdict.acceptance,
        predicted_speed_up=option.speed_up,
        speed_up=verdict.ratio,
        kl_before=learned.kl_before,
        kl_after=learned.kl_after,
        seconds=time.monotonic() - begun,
    )


def _chosen(request: MakeDraft, paths: Paths, report: Report, stop: StopFlag) -> DraftOption:
    """How many layers, said before anything is made. Raises DraftError where nothing promises a gain."""
    from app.drafts.options import draft_options

    if request.output.exists():
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    if not request.output.parent.is_dir():
        raise StorageError(f"There is no folder {request.output.parent}.", "Make it, or choose another one.")
    if not request.target.is_file():
        raise ModelFileError(f"“{request.target.name}” is not there.", "Give the GGUF file that the draft is for.")
    options = draft_options(request, paths, stop)
    wanted = [option for option in options if option.layers == request.layers] if request.layers else options
    if not wanted:
        raise DraftError(f"A draft of this model keeps 1 to {len(options)} layers, and not {request.layers}.")
    best = max(wanted, key=lambda option: (option.speed_up, -option.layers))
    if best.speed_up <= 1.0 and not request.layers:
        raise DraftError(
            f"No draft made of this model promises a gain: one layer alone would take {percent(options[0].cost)} of "
            "the model's own time for a token.",
            "Give a number of layers to try it all the same.",
        )
    report(
        Notice(
            f"Keeping {best.layers} of {len(options) + 1} layers: {best.speed_up:.2f} times faster, if "
            f"{percent(best.acceptance)} of its guesses are right. What it really is, is measured at the end."
        )
    )
    return best


def _taught(
    request: MakeDraft, option: DraftOption, work: Path, paths: Paths, report: Report, stop: StopFlag
) -> _Taught:
    """The cut model after its training, or as it was where that was no better."""
    from app.recipe.steps import finish_model, prune_step, recover_step
    from app.recipe.words import shape_of

    layers = shape_of(request.source).layers
    cut, learned = work / "cut", work / "learned"
    if not cut.exists() and not learned.exists():
        amount = 1 - option.layers / layers
        cutting = Prune(request.source, cut, PruneMethod.LAYERS, amount, threads=request.threads)
        prune_step(cutting, Context(paths=paths, report=report, stop=stop))
        finish_model(FinishModel(request.source, cut, ()), Context())
    known = _before_and_after(work)
    if known is None or not learned.exists():
        shutil.rmtree(learned, ignore_errors=True)  # what it was worth is not known any more
        result = recover_step(_recovery(request, cut, learned), Context(paths=paths, report=report, stop=stop))
        known = (result.kl_before, result.kl_after)
        write_atomic(work / _KL, json.dumps(known).encode())
    finish_model(FinishModel(request.source, learned, (cut,)), Context())
    return _Taught(learned, *known)


def _before_and_after(work: Path) -> tuple[float, float] | None:
    """The divergences of a training that was done before an interruption."""
    try:
        before, after = read_json(work / _KL)
        return float(before), float(after)
    except (OSError, ValueError, TypeError):
        return None


def _recovery(request: MakeDraft, cut: Path, learned: Path) -> Recover:
    return Recover(
        model=cut,
        teacher=request.source,
        output=learned,
        method=request.method,
        budget_tokens=request.budget_tokens,
        text=request.text,
        seed=request.seed,
        threads=request.threads,
        or_keep=True,
    )


def _quantized(request: MakeDraft, learned: Path, report: Report, stop: StopFlag) -> None:
    from app.quantize.quantize import quantize

    quantize(
        Quantize(learned, request.output, request.type, threads=request.threads), Context(report=report, stop=stop)
    )


def _tried(request: MakeDraft, paths: Paths, report: Report, stop: StopFlag) -> DraftVerdict:
    """Medians over a few of the bundled questions. Raises AppError where the two cannot be loaded together."""
    from app.engine.draft_trial import PROMPTS_FILE, compare_draft
    from app.engine.session import Session

    load = LoadModel(request.target, kv_disk_limit_bytes=0, draft=request.output)
    session = Session.load(load, paths, report, stop)
    if isinstance(session, TooLarge):
        raise DraftError(f"The draft was made, and could not be tried: {session.sentence}", "Close other programs.")
    try:
        if session.loaded.draft_problem:
            raise AppError(f"The draft was made, and could not be tried. {session.loaded.draft_problem}")
        prompts = PROMPTS_FILE.read_text("utf-8").splitlines()
        asked = [prompts[n * len(prompts) // _PROMPTS] for n in range(_PROMPTS)]
        verdicts = [
            compare_draft(session, CompareDraft((Message(Role.USER, text),), seconds=_SECONDS_EACH), report, stop)
            for text in asked
        ]
    finally:
        session.close()
    return dataclasses.replace(
        sorted(verdicts, key=lambda one: one.ratio)[len(verdicts) // 2],
        acceptance=median(one.acceptance for one in verdicts),
    )


def _chosen_where_it_pays(request: MakeDraft, verdict: DraftVerdict, paths: Paths, report: Report) -> None:
    remember_ratio(paths.drafts, request.target, request.output, verdict.ratio)
    # Drafting that loses is switched off early: without a guess nothing is known of how many would be right.
    right = (
        f"{percent(verdict.acceptance)} of its guesses are right" if verdict.acceptance else "no guess of it was used"
    )
    if verdict.pays:
        choose_draft(paths.drafts, request.target, request.output)
        report(
            Notice(f"With the draft answers are {verdict.ratio:.2f} times faster: {right}. It is chosen from now on.")
        )
    else:
        report(
            Notice(
                f"The draft does not pay: with it answers are {verdict.ratio:.2f} times as fast as without; {right}. "
                "It is there, and not chosen. More training, or another number of layers, may help; often nothing does."
            )
        )
