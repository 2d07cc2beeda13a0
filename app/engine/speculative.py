"""Speculative decoding: a draft guesses tokens, the model reads them all at once, and its own sampler decides on each.

Source: Leviathan, Kalman, Matias 2023, arXiv 2211.17192, in the form of llama.cpp's common/speculative.cpp: the sampler
draws at each position as it would have without a draft, and a guess counts where it is what was drawn. So the same seed
gives the same text as plain decoding, and the draft decides on nothing but the speed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from app.engine.drafting import Draft, Drafting
from app.engine.generation import Answer, AnswerClock, GenerationInput, read_prompt
from app.engine.llama import DecodeError
from app.engine.messages import DraftFigures, Token
from app.operation import Notice, Report, ShouldStop

_SAY_EVERY = 16
"""Tokens between two reports of the figures."""


def generate_speculative(
    given: GenerationInput, drafting: Drafting, clock: AnswerClock, report: Report, should_stop: ShouldStop
) -> Iterator[Token]:
    """Generate as `generate_plain` does: the same tokens, the same ends, the same KV cache afterwards.

    A draft model that fails is left out from then on, and a notice says so.
    """
    steps = _Steps(given, drafting, report)
    cache, answer, figures = given.cache, Answer(given, should_stop), _Figures(drafting, clock)
    drafting.begin_answer()
    said = cache.context.context_tokens
    try:
        draft, drawn = Draft(), steps.first(read_prompt(given, clock, report))
        while drawn:
            ms = clock.lap(len(drawn))
            said = len(cache.tokens) - len(drawn) + 1
            for token, guess in zip(drawn, (*draft.tokens, None), strict=False):
                if answer.is_end(token):
                    break
                yield Token(answer.say(token), ms, from_draft=token == guess)
                if answer.has_ended(cache.context.context_tokens - said):
                    break
                said += 1
            else:
                figures.report(report)
                draft, drawn = steps.next(drawn[-1], answer.new_tokens)
                figures.count(draft, drawn)
                continue
            break
        statistics = clock.statistics(given.prompt, answer.new_tokens, answer.reason, given.seed, figures.now())
        yield Token(answer.rest(), 0.0, statistics=statistics)
    finally:
        # Where the answer ended among the tokens of a step, those after it were never said.
        cache.keep(said)
        given.sampler.close()


class _Steps:
    """Runs of the model, each over the last token and a draft of what follows it."""

    def __init__(self, given: GenerationInput, drafting: Drafting, report: Report) -> None:
        self._given, self._drafting, self._report = given, drafting, report

    def first(self, is_read: bool) -> list[int]:
        """The token that follows the prompt; none where reading it was stopped."""
        return [self._given.sampler.sample(self._given.cache.context)] if is_read else []

    def next(self, last: int, new_tokens: int) -> tuple[Draft, list[int]]:
        """The draft after `last`, and the tokens drawn: those of it that were right and one more. None after a stop.

        The KV cache holds all of them but the last.
        """
        cache, sampler = self._given.cache, self._given.sampler
        start = len(cache.tokens)
        draft = self._propose([*cache.tokens, last], new_tokens)
        threads = self._given.threads.current
        cache.context.set_threads(threads, threads)
        size = min(self._drafting.costs.filled(draft.count + 1), cache.free_tokens)
        began = time.perf_counter()
        if not cache.verify((last, *draft.tokens), size):
            return draft, []
        drawn: list[int] = []
        for row, guess in enumerate((*draft.tokens, None)):
            drawn.append(sampler.sample(cache.context, row))
            if drawn[-1] != guess or self._given.model.ends_generation(drawn[-1]):
                break
        cache.keep(start + len(drawn))
        ms = (time.perf_counter() - began) * 1000
        self._drafting.observe(draft, drawn, size, ms)
        self._given.threads.observe(self._drafting.costs.as_plain_ms(size, ms))
        return draft, drawn

    def _propose(self, tokens: Sequence[int], new_tokens: int) -> Draft:
        room = self._given.cache.free_tokens - 1
        if most := self._given.sampling.max_tokens:
            room = min(room, most - new_tokens - 1)
        try:
            return self._drafting.propose(tokens, room)
        except DecodeError as error:
            self._drafting.drop_model()
            self._report(
                Notice(f"The draft model failed ({error}). The answer goes on without it, at its usual speed.")
            )
            return Draft()


class _Figures:
    """Counts what is said of drafting in this answer."""

    def __init__(self, drafting: Drafting, clock: AnswerClock) -> None:
        self._drafting, self._clock = drafting, clock
        self._drafted = self._accepted = self._steps = self._tokens = 0
        self._plain_ms = 0.0
        self._was_on: bool | None = None
        self._said_at = 0

    def count(self, draft: Draft, drawn: Sequence[int]) -> None:
        """Take one step."""
        self._steps += 1
        self._tokens += len(drawn)
        self._drafted += draft.count
        self._accepted += max(0, len(drawn) - 1)
        self._plain_ms += len(drawn) * self._drafting.costs.plain_ms

    def now(self) -> DraftFigures:
        """Up to now."""
        return DraftFigures(
            is_on=self._drafting.is_on,
            drafted_tokens=self._drafted,
            accepted_tokens=self._accepted,
            steps=self._steps,
            new_tokens=self._tokens,
            ms_per_token=self._clock.decode_ms / self._tokens if self._tokens else 0.0,
            plain_ms_per_token=self._plain_ms / self._tokens if self._tokens else 0.0,
        )

    def report(self, report: Report) -> None:
        """Say it when drafting begins or ends, and now and then."""
        if not self._steps or (self._drafting.is_on is self._was_on and self._tokens < self._said_at + _SAY_EVERY):
            return
        self._was_on, self._said_at = self._drafting.is_on, self._tokens
        report(self.now())
