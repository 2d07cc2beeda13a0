"""Plain decoding: one token after the other. The speculative way is a second generator of the same type."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from app.engine.answer import AnswerClock
from app.engine.kv_cache import KvCache
from app.engine.llama import Model, Sampler
from app.engine.prompt import Prompt
from app.engine.text_stream import TextStream
from app.engine.threads import AdaptiveThreads
from app.events import Progress, Report, ShouldStop, Stage, StopReason, Token
from app.requests import Sampling


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """All that an answer is made from."""

    model: Model
    cache: KvCache
    prompt: Prompt
    sampling: Sampling
    stop_strings: tuple[str, ...]
    threads: AdaptiveThreads
    prefill_threads: int


def generate_plain(
    given: GenerationInput, clock: AnswerClock, report: Report, should_stop: ShouldStop
) -> Iterator[Token]:
    """Read the prompt, then draw tokens until the model, the user or the context ends it.

    The token that is drawn last is never in the KV cache, so that the cache always is a prefix of the next prompt.
    Closing the generator early is a safe stop.
    """
    sampling, prompt, cache = given.sampling, given.prompt, given.cache
    seed = secrets.randbits(31) if sampling.seed is None else sampling.seed
    stream = TextStream((*sampling.stop, *given.stop_strings))
    sampler = Sampler(given.model, sampling, seed)
    new_tokens = 0
    reason = StopReason.STOPPED
    try:
        if _prefill(given, clock, report):
            for token in prompt.tokens[-Sampler.PENALTY_WINDOW :]:
                sampler.accept(token)
            while True:
                token = sampler.sample(cache.context)
                if given.model.ends_generation(token) and not sampling.ignore_end:
                    reason = StopReason.END
                    break
                new_tokens += 1
                text = stream.feed(given.model.piece(token))
                ms = clock.lap()
                yield Token(text, ms)
                if (ended := _ended(stream, new_tokens, sampling, cache, should_stop)) is not None:
                    reason = ended
                    break
                cache.context.set_threads(given.threads.observe(ms), given.prefill_threads)
                if not cache.extend((token,)):
                    break
        yield Token(stream.finish(), 0.0, statistics=clock.statistics(prompt, new_tokens, reason, seed))
    finally:
        sampler.close()


def _prefill(given: GenerationInput, clock: AnswerClock, report: Report) -> bool:
    """Bring the cache to the prompt. False when it was stopped."""
    reused = given.cache.keep(given.prompt.reused)
    rest = given.prompt.tokens[reused:]
    given.cache.context.set_threads(given.threads.current, given.prefill_threads)
    clock.prefill_begins()
    report(Progress(Stage.PREFILL, 0, len(rest)))
    done = given.cache.extend(rest, lambda count: report(Progress(Stage.PREFILL, count, len(rest))))
    clock.prefill_ends()
    return done


def _ended(
    stream: TextStream, new_tokens: int, sampling: Sampling, cache: KvCache, should_stop: ShouldStop
) -> StopReason | None:
    """Why the answer ends after the token just drawn, or None."""
    if stream.stopped:
        return StopReason.STOP_STRING
    if should_stop():
        return StopReason.STOPPED
    if sampling.max_tokens and new_tokens >= sampling.max_tokens:
        return StopReason.MAX_TOKENS
    return StopReason.CONTEXT_FULL if cache.free_tokens < 1 else None
