"""Is drafting worth it here, and does it change nothing? The model answers plainly and with its drafts, by turns."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from statistics import median

from app.engine.generation import Sampler
from app.engine.llama import Context, Model
from app.engine.messages import (
    AnswerStatistics,
    CheckDraft,
    CompareDraft,
    Difference,
    DraftCheck,
    DraftFigures,
    DraftVerdict,
    Generate,
    Message,
    OpenConversation,
    Role,
    Sampling,
    StopReason,
)
from app.engine.session import Session
from app.errors import AppError, Cancelled
from app.operation import Progress, Report, Stage, StopFlag
from app.system.paths import RESOURCES

PROMPTS_FILE = RESOURCES / "texts" / "draft-check.txt"

_SEED = 1
_ANSWER_SHARE = 8
"""An answer of a comparison takes about this part of the time, so that there are several pairs."""
_FEWEST_TOKENS, _MOST_TOKENS = 16, 128
_FEWEST_PAIRS = 2
_NO_DRAFT = AppError("The model was loaded without a draft.", "Choose one beside the model, then try again.")


def compare_draft(session: Session, request: CompareDraft, report: Report, stop: StopFlag) -> DraftVerdict:
    """Answer the last message in pairs until the time is over, at least two of them, and compare decode speeds.

    The first answer of each kind is not counted: it reads the prompt, and the draft's prompt, for the others. Raises
    AppError without a draft, Cancelled after a stop.
    """
    _check_drafting(session)
    begin = time.perf_counter()

    def answer(speculative: bool, tokens: int) -> AnswerStatistics:
        sampling = dataclasses.replace(request.sampling, max_tokens=tokens, ignore_end=True, stop=(), seed=_SEED)
        return _answer(session, Generate(session.conversation_id, request.messages, sampling, speculative), stop)

    report(Progress(Stage.COMPARE_DRAFT, 0, round(request.seconds * 10)))
    plain_ms = answer(False, _FEWEST_TOKENS).ms_per_token_median or 1.0
    tokens = round(request.seconds * 1000 / _ANSWER_SHARE / plain_ms)
    tokens = max(_FEWEST_TOKENS, min(_MOST_TOKENS, tokens))
    answer(True, tokens)
    speeds: dict[bool, list[float]] = {False: [], True: []}
    figures: list[DraftFigures] = []
    while len(figures) < _FEWEST_PAIRS or time.perf_counter() - begin < request.seconds:
        for speculative in (False, True) if len(figures) % 2 else (True, False):
            statistics = answer(speculative, tokens)
            speeds[speculative].append(statistics.tokens_per_second)
            if statistics.drafting is not None:
                figures.append(statistics.drafting)
        seconds = time.perf_counter() - begin
        report(Progress(Stage.COMPARE_DRAFT, round(min(seconds, request.seconds) * 10), round(request.seconds * 10)))
    return DraftVerdict(
        plain_tokens_per_second=median(speeds[False]),
        speculative_tokens_per_second=median(speeds[True]),
        acceptance=median(each.acceptance for each in figures),
        tokens_per_step=median(each.tokens_per_step for each in figures),
        pairs=len(figures),
        new_tokens=tokens,
    )


def check_draft(session: Session, request: CheckDraft, report: Report, stop: StopFlag) -> DraftCheck:
    """Compare the answers to all prompts token by token. Raises AppError without a draft, Cancelled after a stop.

    The conversation that was open is saved first: nothing of it is left in memory.
    """
    _check_drafting(session)
    session.open_conversation(OpenConversation(""))
    prompts = request.prompts or tuple(PROMPTS_FILE.read_text("utf-8").splitlines())
    tokens = accepted = 0
    differences = []
    for number, prompt in enumerate(prompts):
        report(Progress(Stage.CHECK_DRAFT, number, len(prompts)))
        sampling = dataclasses.replace(request.sampling, max_tokens=request.new_tokens)
        if sampling.seed is None:
            sampling = dataclasses.replace(sampling, seed=_SEED + number)
        message = (Message(Role.USER, prompt),)
        plain, speculative = _Recording(session), _Recording(session)
        _answer(session, Generate("", message, sampling, speculative=False), stop, plain)
        with session.insisting_on_drafts():
            statistics = _answer(session, Generate("", message, sampling), stop, speculative)
        tokens += len(plain.tokens)
        accepted += statistics.draft_tokens
        if (at := _first_difference(plain.tokens, speculative.tokens)) is not None:
            differences.append(_difference(session, prompt, at, plain, speculative, sampling))
    report(Progress(Stage.CHECK_DRAFT, len(prompts), len(prompts)))
    return DraftCheck(len(prompts), tokens, accepted, tuple(differences))


def _check_drafting(session: Session) -> None:
    if session.loaded.draft is None and not session.loaded.prompt_lookup:
        raise _NO_DRAFT


def _answer(
    session: Session, request: Generate, stop: StopFlag, recording: _Recording | None = None
) -> AnswerStatistics:
    """Raises Cancelled."""
    last = None
    for token in session.generate(request, lambda _event: None, stop, recording.sampler if recording else Sampler):
        last = token.statistics
    if last is None or last.stop_reason is StopReason.STOPPED:
        raise Cancelled
    return last


class _Recording:
    """What a sampler drew, and from which logits."""

    def __init__(self, session: Session) -> None:
        self.tokens: list[int] = []
        self._logits: list[bytes] = []

    def sampler(self, model: Model, sampling: Sampling, seed: int) -> Sampler:
        """Takes the place of `Sampler` in `Session.generate`."""
        return _RecordingSampler(model, sampling, seed, self)

    def take(self, context: Context, row: int, token: int) -> None:
        """Keep one draw: vocabulary x 4 bytes."""
        self._logits.append(bytes(context.logits(row)))
        self.tokens.append(token)

    def probabilities(self, index: int, temperature: float) -> list[float]:
        """Softmax of the logits of a draw; greedy draws have those of temperature 1."""
        logits = memoryview(self._logits[index]).cast("f").tolist()
        highest = max(logits)
        weights = [math.exp((logit - highest) / (temperature or 1.0)) for logit in logits]
        total = sum(weights)
        return [weight / total for weight in weights]


class _RecordingSampler(Sampler):
    def __init__(self, model: Model, sampling: Sampling, seed: int, recording: _Recording) -> None:
        super().__init__(model, sampling, seed)
        self._recording = recording

    def sample(self, context: Context, row: int = -1) -> int:
        token = super().sample(context, row)
        self._recording.take(context, row, token)
        return token


def _first_difference(left: Sequence[int], right: Sequence[int]) -> int | None:
    """Where two answers part, also where one ends before the other."""
    both = zip(left, right, strict=False)
    found = next((i for i, (a, b) in enumerate(both) if a != b), None)
    if found is None and len(left) != len(right):
        return min(len(left), len(right)) - 1
    return found


def _difference(
    session: Session, prompt: str, at: int, plain: _Recording, speculative: _Recording, sampling: Sampling
) -> Difference:
    wanted = plain.probabilities(at, sampling.temperature)
    if sampling.temperature <= 0:
        second = max(p for token, p in enumerate(wanted) if token != plain.tokens[at])
        margin = wanted[plain.tokens[at]] - second
    else:
        other = speculative.probabilities(at, sampling.temperature)
        margin = max(abs(a - b) for a, b in zip(wanted, other, strict=True))

    def text(token: int) -> str:
        return session.model.piece(token).decode("utf-8", "replace")

    return Difference(prompt, at, text(plain.tokens[at]), text(speculative.tokens[at]), margin)
