"""An answer, token by token: what plain and speculative decoding share, and plain decoding itself."""

from __future__ import annotations

import codecs
import ctypes
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.kv_cache import KvCache
from app.engine.llama import C, Context, Model
from app.engine.messages import AnswerStatistics, DraftFigures, Sampling, StopReason, Token
from app.engine.prompt import Prompt
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


# From token bytes to text that can be shown: whole characters, and nothing that may still become a stop string.


class TextStream:
    """Feed the bytes of each token; take the text that is certain."""

    def __init__(self, stop_strings: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stop_strings if stop]
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Text that can be shown now; empty while a character is incomplete or a stop string is possible.

        When a stop string is complete, `stopped` becomes True, the text before it is returned and the rest dropped.
        """
        if self.stopped:
            return ""
        self._held += self._decoder.decode(piece)
        first = min((at for stop in self._stops if (at := self._held.find(stop)) >= 0), default=-1)
        if first >= 0:
            self.stopped = True
            return self._take(first)
        return self._take(len(self._held) - self._possible_start())

    def finish(self) -> str:
        """What was held back, at the end of the answer. An incomplete character becomes U+FFFD."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(b"", final=True)
        return self._take(len(self._held))

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text

    def _possible_start(self) -> int:
        """Length of the longest tail that is the beginning of a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0


# The clock of one answer: from the times of its tokens to the statistics said at its end.


class AnswerClock:
    """Started before the prompt is built; `lap` after each token."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._prefill_start = self._prefill_end = self._start
        self._first_token_at = 0.0
        self._token_ms: list[float] = []

    def prefill_begins(self) -> None:
        """The prompt is ready."""
        self._prefill_start = time.perf_counter()

    def prefill_ends(self) -> None:
        """The prompt is in the KV cache and the first token can be drawn."""
        self._prefill_end = self._last = time.perf_counter()

    def lap(self, tokens: int = 1) -> float:
        """Milliseconds since the last token (since the end of prefill for the first), shared among `tokens`."""
        now = time.perf_counter()
        ms, self._last = (now - self._last) * 1000 / tokens, now
        if not self._first_token_at:
            self._first_token_at = now
        else:
            self._token_ms += [ms] * tokens
        return ms

    @property
    def decode_ms(self) -> float:
        """The time of all tokens but the first."""
        return sum(self._token_ms)

    def statistics(
        self, prompt: Prompt, new_tokens: int, reason: StopReason, seed: int, drafting: DraftFigures | None = None
    ) -> AnswerStatistics:
        """Times per token leave the first token out: it was drawn from the prefill's logits and cost no decode."""
        decode_ms = self.decode_ms
        return AnswerStatistics(
            prompt_tokens=len(prompt.tokens),
            reused_tokens=prompt.reused,
            new_tokens=new_tokens,
            draft_tokens=drafting.accepted_tokens if drafting else 0,
            time_to_first_token_ms=(self._first_token_at - self._start) * 1000 if self._first_token_at else 0.0,
            prefill_ms=(self._prefill_end - self._prefill_start) * 1000,
            decode_ms=decode_ms,
            ms_per_token_median=statistics.median(self._token_ms) if self._token_ms else 0.0,
            ms_per_token_p95=percentile(self._token_ms, 95),
            tokens_per_second=len(self._token_ms) / decode_ms * 1000 if decode_ms else 0.0,
            stop_reason=reason,
            seed=seed,
            left_out_messages=prompt.left_out_messages,
            drafting=drafting,
        )


def percentile(values: list[float], percent: float) -> float:
    """Nearest-rank percentile; 0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]


# llama.cpp's samplers: the one that draws the answer, and the one that takes what a draft model thinks most likely.


class Sampler:
    """Chooses the next token. Order as in llama.cpp: penalties, top-k, top-p, min-p, temperature, draw."""

    PENALTY_WINDOW = 256
    """Tokens, of the prompt and of the answer so far, that the repeat penalty looks back on."""

    def __init__(self, model: Model, sampling: Sampling, seed: int) -> None:
        self.handle = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        if sampling.repeat_penalty != 1.0:
            self._add(
                C.llama_sampler_init_penalties(
                    model.vocabulary_size, self.PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
                )
            )
        if sampling.temperature <= 0:
            self._add(C.llama_sampler_init_greedy())
            return
        if sampling.top_k > 0:
            self._add(C.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            self._add(C.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            self._add(C.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(C.llama_sampler_init_temp(sampling.temperature))
        self._add(C.llama_sampler_init_dist(seed))

    def close(self) -> None:
        """Free the chain. A second call does nothing."""
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None

    def accept(self, token: int) -> None:
        """Count a token of the prompt for the repeat penalty."""
        C.llama_sampler_accept(self.handle, token)

    def sample(self, context: Context, row: int = -1) -> int:
        """Draw from a row of the batch decoded last, and count the token. A row without logits ends the process."""
        return int(C.llama_sampler_sample(self.handle, context.handle, row))

    def _add(self, sampler: Any) -> None:
        C.llama_sampler_chain_add(self.handle, sampler)


class GreedyGuess:
    """The most likely next token with its probability among the ten most likely, from one pass over the logits.

    A probability over the whole vocabulary would take as long as a small draft model itself in Python; that of ten is
    what llama.cpp's own drafting goes by (common/speculative.cpp, top_k 10).
    """

    _AMONG = 10

    def __init__(self) -> None:
        self._probability = 0.0
        self._interface = C.llama_sampler_i(apply=C.llama_sampler_i_apply(self._apply))
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        C.llama_sampler_chain_add(self._chain, C.llama_sampler_init_top_k(self._AMONG))
        C.llama_sampler_chain_add(self._chain, C.llama_sampler_init(ctypes.byref(self._interface), None))

    def close(self) -> None:
        """Free the chain. A second call does nothing."""
        if self._chain:
            C.llama_sampler_free(self._chain)
            self._chain = None

    def guess(self, context: Context) -> tuple[int, float]:
        """Token and probability from the last row of logits."""
        token = int(C.llama_sampler_sample(self._chain, context.handle, -1))
        return token, self._probability

    def _apply(self, _sampler: Any, candidates: Any) -> None:
        array = candidates.contents
        logits = [array.data[i].logit for i in range(array.size)]
        best = max(range(len(logits)), key=logits.__getitem__)
        array.selected = best
        self._probability = 1 / sum(math.exp(logit - logits[best]) for logit in logits)
