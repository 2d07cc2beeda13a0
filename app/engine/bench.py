"""Measure a model: prefill, decode, time to first token, peak memory. Run it in a process of its own."""

from __future__ import annotations

import statistics

from app.engine.messages import (
    AnswerStatistics,
    Bench,
    BenchResult,
    CountTokens,
    Generate,
    Message,
    Role,
    Sampling,
    StopReason,
    TooLarge,
)
from app.engine.session import Session
from app.errors import Cancelled
from app.operation import Context, Progress, Report, Stage, StopFlag
from app.system.hardware import peak_resident_bytes

_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "into", "a", "forest")


def bench(request: Bench, context: Context) -> BenchResult | TooLarge:
    """Load the model and answer `repetitions` times, each from an empty cache. Raises AppError and Cancelled.

    The answers go through the same code as a chat, so that template, sampling and streaming are in the figures.
    """
    session = Session.load(request.load, context.paths, context.report, context.flag)
    if isinstance(session, TooLarge):
        return session
    try:
        prompt = _prompt(session, request.prompt_tokens)
        sampling = Sampling(temperature=1.0, seed=1, max_tokens=request.new_tokens, ignore_end=True)
        runs: list[AnswerStatistics] = []
        for number in range(request.repetitions):
            context.report(Progress(Stage.MEASURE, number, request.repetitions))
            runs.append(_answer(session, Generate("", prompt, sampling), context.report, context.flag))
        context.report(Progress(Stage.MEASURE, request.repetitions, request.repetitions))
        return _result(request, session, runs)
    finally:
        session.close()


def _prompt(session: Session, tokens: int) -> tuple[Message, ...]:
    """A message of about `tokens` tokens once the template is applied, and no more than the context holds."""
    room = min(tokens, session.loaded.context_tokens * 3 // 4)
    words = 1
    while True:
        message = (Message(Role.USER, " ".join(_WORDS[i % len(_WORDS)] for i in range(words))),)
        count = session.count_tokens(CountTokens(message)).tokens
        if count >= room:
            return message
        words += max(1, (room - count) // 2)


def _answer(session: Session, request: Generate, report: Report, stop: StopFlag) -> AnswerStatistics:
    session.forget_conversation()
    last = None
    for token in session.generate(request, report, stop):
        last = token.statistics
    if last is None or last.stop_reason is StopReason.STOPPED:
        raise Cancelled
    return last


def _result(request: Bench, session: Session, runs: list[AnswerStatistics]) -> BenchResult:
    loaded = session.loaded

    def median(values: list[float]) -> float:
        return statistics.median(values)

    return BenchResult(
        path=request.load.path,
        context_tokens=loaded.context_tokens,
        prompt_tokens=runs[0].prompt_tokens,
        new_tokens=min(run.new_tokens for run in runs),
        threads=loaded.threads,
        load_ms=loaded.load_ms,
        prefill_tokens_per_second=median([run.prompt_tokens / run.prefill_ms * 1000 for run in runs]),
        decode_tokens_per_second=median([run.tokens_per_second for run in runs]),
        ms_per_token_median=median([run.ms_per_token_median for run in runs]),
        ms_per_token_p95=median([run.ms_per_token_p95 for run in runs]),
        time_to_first_token_ms=median([run.time_to_first_token_ms for run in runs]),
        need=loaded.need,
        peak_resident_bytes=peak_resident_bytes(),
        safe_mode=loaded.safe_mode,
    )
