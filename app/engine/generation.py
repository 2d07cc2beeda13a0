"""An answer, token by token: what plain and speculative decoding share, and plain decoding itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.engine.answer import AnswerClock
from app.engine.kv_cache import KvCache
from app.engine.llama import Model
from app.engine.messages import Sampling, StopReason, Token
from app.engine.prompt import Prompt
from app.engine.sampler import Sampler
from app.engine.text_stream import TextStream
from app.engine.threads import AdaptiveThreads
from app.operation import Progress, Report, ShouldStop, Stage


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """All that an answer is made from. The generators close the `sampler`, which was made with `seed`."""

    model: Model
    cache: KvCache
    prompt: Prompt
    sampling: Sampling
    seed: int
    sampler: Sampler
    stop_strings: tuple[str, ...]
    threads: AdaptiveThreads
    prefill_threads: int


class Answer:
    """What has been said so far, and whether that is the end."""

    def __init__(self, given: GenerationInput, should_stop: ShouldStop) -> None:
        self.new_tokens = 0
        self.reason = StopReason.STOPPED
        """Why it ended."""
        self._given = given
        self._should_stop = should_stop
        self._stream = TextStream((*given.sampling.stop, *given.stop_strings))

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        if given_up := self._given.model.ends_generation(token) and not self._given.sampling.ignore_end:
            self.reason = StopReason.END
        return given_up

    def say(self, token: int) -> str:
        """Count a token; the text that can be shown now."""
        self.new_tokens += 1
        return self._stream.feed(self._given.model.piece(token))

    def has_ended(self, free_tokens: int) -> bool:
        """Whether the answer ends after the token just said, with room for so many more in the context."""
        sampling = self._given.sampling
        if self._stream.stopped:
            self.reason = StopReason.STOP_STRING
        elif self._should_stop():
            self.reason = StopReason.STOPPED
        elif sampling.max_tokens and self.new_tokens >= sampling.max_tokens:
            self.reason = StopReason.MAX_TOKENS
        elif free_tokens < 1:
            self.reason = StopReason.CONTEXT_FULL
        else:
            return False
        return True

    def rest(self) -> str:
        """The text that was held back, at the end."""
        return self._stream.finish()


def generate_plain(
    given: GenerationInput, clock: AnswerClock, report: Report, should_stop: ShouldStop
) -> Iterator[Token]:
    """Read the prompt, then draw tokens until the model, the user or the context ends it.

    The token that is drawn last is never in the KV cache, so that the cache always is a prefix of the next prompt.
    Closing the generator early is a safe stop.
    """
    cache, answer = given.cache, Answer(given, should_stop)
    try:
        if read_prompt(given, clock, report):
            while True:
                token = given.sampler.sample(cache.context)
                if answer.is_end(token):
                    break
                text = answer.say(token)
                ms = clock.lap()
                yield Token(text, ms)
                if answer.has_ended(cache.free_tokens):
                    break
                cache.context.set_threads(given.threads.observe(ms), given.prefill_threads)
                if not cache.extend((token,)):
                    break
        statistics = clock.statistics(given.prompt, answer.new_tokens, answer.reason, given.seed)
        yield Token(answer.rest(), 0.0, statistics=statistics)
    finally:
        given.sampler.close()


def read_prompt(given: GenerationInput, clock: AnswerClock, report: Report) -> bool:
    """Bring the KV cache and the sampler to the prompt. False when it was stopped."""
    reused = given.cache.keep(given.prompt.reused)
    rest = given.prompt.tokens[reused:]
    given.cache.context.set_threads(given.threads.current, given.prefill_threads)
    clock.prefill_begins()
    report(Progress(Stage.PREFILL, 0, len(rest)))
    done = given.cache.extend(rest, lambda count: report(Progress(Stage.PREFILL, count, len(rest))))
    clock.prefill_ends()
    for token in given.prompt.tokens[-Sampler.PENALTY_WINDOW :]:
        given.sampler.accept(token)
    return done
