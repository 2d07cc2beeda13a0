"""Which tokens to draft at each step: the source and the length that promise the most tokens a second, none included.

With `rate` the tokens a ms that are reached at the moment, a draft is worth E - rate x cost: the expected tokens less
those that plain decoding, or drafting as it went so far, would give in the same time. More is drafted as long as that
grows, and only as many are verified as are worth it. The balance is the safeguard against all that is not expected: it
counts what drafting gained and lost in units of plain tokens, and ends drafting for a while when it lost a few.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.engine.acceptance import LONGEST_DRAFT, Acceptance
from app.engine.batch_costs import BatchCosts
from app.engine.draft_model import DraftModel, common_length
from app.engine.prompt_lookup import PromptLookup

_PLAIN_EVERY = 64
"""A token is decoded plainly so often, and at the start, so that what drafting gains is measured."""
_PLAIN_FIRST = 2
_MEMORY = 0.95
_READ_AT_ONCE = 16
"""Tokens that the draft model may be behind without it being asked whether reading them pays."""
_LIKELY_MORE = 96
"""Tokens an answer is expected to have still."""


_INSISTENT = (1, 3, 7, 2, 15, 4, 31)
"""Lengths of drafts while checking: in and out of step with the kernels' groups of rows, and the longest."""


class Source(StrEnum):
    """Where a draft comes from."""

    MODEL = "model"
    LOOKUP = "prompt lookup"


@dataclass(frozen=True, slots=True)
class Draft:
    """Guesses, of which the first `count` are worth verifying. `probabilities` are what a draft model gave to each."""

    guesses: tuple[int, ...] = ()
    count: int = 0
    source: Source | None = None
    probabilities: tuple[float, ...] = ()
    ms: float = 0.0
    """What drafting cost, as expected from the costs so far: a run that was held up says nothing."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """Those to verify; maybe none."""
        return self.guesses[: self.count]


@dataclass(slots=True)
class Balance:
    """Plain tokens won and lost by one source. Below the limit it pauses, each time longer."""

    _LOWEST = -2.5
    _HIGHEST = 4.0
    _CREDIT = 0.75
    _SHORTEST = 8
    _LONGEST = 1024

    value: float = 0.0
    pause: int = 0
    """Tokens to decode without this source."""
    _next_pause: int = field(default=_SHORTEST)

    def book(self, tokens: float) -> None:
        """Count a gain or a loss."""
        self.value = min(self.value + tokens, self._HIGHEST)
        if self.value <= self._LOWEST:
            self.pause, self.value = self._next_pause, self._LOWEST + self._CREDIT
            self._next_pause = min(2 * self._next_pause, self._LONGEST)
        elif self.value >= 1.0:
            self._next_pause = self._SHORTEST

    def pass_token(self) -> None:
        """A token was decoded without this source."""
        self.pause = max(0, self.pause - 1)

    def begin_answer(self) -> None:
        """Another text, maybe one that suits the source better: it need not wait long."""
        self.pause = min(self.pause, self._SHORTEST)


class Drafting:
    """The sources of a session, with what was learned of each. Times are ms."""

    def __init__(self, costs: BatchCosts, model: DraftModel | None, lookup: PromptLookup | None) -> None:
        self.costs = costs
        self.model = model
        self.lookup = lookup
        self._acceptance = Acceptance()
        self._balances = {source: Balance() for source in Source}
        self._tokens = self._ms = 0.0
        self._since_plain = 0
        self._answer_tokens = 0
        self._lengths: Iterator[int] | None = None

    @property
    def is_on(self) -> bool:
        """Whether any source is in use at the moment."""
        has_model = self.model is not None and not self._balances[Source.MODEL].pause
        return has_model or (self.lookup is not None and not self._balances[Source.LOOKUP].pause)

    def insist(self, on: bool) -> None:
        """Draft at every step whether it gains or not, in changing lengths: to check that it changes nothing."""
        self._lengths = itertools.cycle(_INSISTENT) if on else None

    def begin_answer(self) -> None:
        """The next tokens belong to another answer."""
        self._since_plain, self._answer_tokens = _PLAIN_EVERY - _PLAIN_FIRST, 0
        self._tokens = self._ms = 0.0
        for balance in self._balances.values():
            balance.begin_answer()

    def propose(self, tokens: Sequence[int], room: int) -> Draft:
        """What to verify after `tokens`, the last of which was not yet decoded; `room` tokens at most."""
        self._since_plain += 1
        if self.lookup is not None:
            self.lookup.follow(tokens)
        most = min(room, LONGEST_DRAFT, self.costs.largest - 1)
        if self._lengths is not None:
            return self._insistent(tokens, min(most, next(self._lengths)))
        if most < 1 or self._since_plain > _PLAIN_EVERY:
            self._since_plain = 0
            return Draft()
        draft = self._from_lookup(most)
        if not draft.tokens and self._model_is_worth_it(tokens):
            draft = self._from_model(tokens, most)
        return draft

    def drop_model(self) -> None:
        """Go on without the draft model, which failed."""
        self.model = None

    def observe(self, draft: Draft, drawn: Sequence[int], size: int, ms: float) -> None:
        """Learn from a step: the batch, filled up to `size`, took `ms`, and the tokens `drawn` came of it.

        The first guess that was not verified is compared too: what was drawn in its place says whether it was right.
        """
        self.costs.observe(size, ms)
        expected = self.costs.ms(draft.count + 1) + draft.ms
        self._tokens = _MEMORY * self._tokens + len(drawn)
        self._ms = _MEMORY * self._ms + expected
        self._answer_tokens += len(drawn)
        if draft.source is Source.MODEL:
            self._acceptance.observe(draft.probabilities[: len(drawn)], common_length(draft.guesses, drawn))
        if draft.source is not None:
            self._balances[draft.source].book(len(drawn) - expected / self.costs.plain_ms)
        for source, balance in self._balances.items():
            if source is not draft.source:
                balance.pass_token()

    @property
    def _rate(self) -> float:
        """Tokens a ms that are reached without trying anything new."""
        plain = 1 / self.costs.plain_ms
        return max(plain, self._tokens / self._ms) if self._ms else plain

    def _from_lookup(self, most: int) -> Draft:
        if self.lookup is None or not self.lookup.length or self._balances[Source.LOOKUP].pause:
            return Draft()
        count = self._best_count([self.lookup.rate(i) for i in range(most)])
        return Draft(tuple(self.lookup.continuation(count)), count, Source.LOOKUP) if count else Draft()

    def _best_count(self, rates: Sequence[float]) -> int:
        """How many tokens to verify, when each is right at that rate once those before it were."""
        price = self._rate
        best, count = 1 - price * self.costs.ms(1), 0
        expected = share = 1.0
        for index, rate in enumerate(rates):
            share *= rate
            expected += share
            if (value := expected - price * self.costs.ms(index + 2)) > best:
                best, count = value, index + 1
        return count

    def _insistent(self, tokens: Sequence[int], count: int) -> Draft:
        if self.lookup is not None and self.lookup.length:
            return Draft(tuple(self.lookup.continuation(count)), count, Source.LOOKUP)
        if self.model is None or count < 1 or not self.model.has_room(len(tokens) + 1):
            return Draft()
        guessed = list(itertools.islice(self.model.guesses(tokens), count))
        guesses, probabilities = (tuple(column) for column in zip(*guessed, strict=True)) if guessed else ((), ())
        return Draft(guesses, len(guesses), Source.MODEL, probabilities, len(guesses) * self.model.step_ms)

    def _model_is_worth_it(self, tokens: Sequence[int]) -> bool:
        """Whether to ask the draft model: it may have to read the conversation first, which the answer must repay."""
        if self.model is None or self._balances[Source.MODEL].pause or not self.model.has_room(len(tokens) + 1):
            return False
        behind = self.model.behind(tokens)
        if behind <= _READ_AT_ONCE:
            return True
        gain = self._gain_a_token() * max(_LIKELY_MORE, self._answer_tokens)
        return behind * self.model.read_ms <= gain

    def _gain_a_token(self) -> float:
        """The ms that the model may be hoped to save for each token at its best length, by position alone."""
        assert self.model is not None
        expected = share = 1.0
        best = self.costs.plain_ms
        for index in range(min(LONGEST_DRAFT, self.costs.largest - 1)):
            share *= self._acceptance.hoped_at_position(index)
            expected += share
            ms = self.costs.ms(index + 2) + (index + 1) * self.model.step_ms
            best = min(best, ms / expected)
        return self.costs.plain_ms - best

    def _from_model(self, tokens: Sequence[int], most: int) -> Draft:
        assert self.model is not None
        behind = self.model.behind(tokens)
        plan = _Plan(self.costs, self._acceptance, self._rate, self.model.step_ms, most)
        for token, probability in self.model.guesses(tokens):
            if not plan.take(token, probability):
                break
        # What the last answers left unread is no cost of this draft, but a token or two are part of each.
        ms = len(plan.tokens) * self.model.step_ms + min(behind - 1, _READ_AT_ONCE) * self.model.read_ms
        return Draft(tuple(plan.tokens), plan.best_count(), Source.MODEL, tuple(plan.probabilities), ms)


class _Plan:
    """A draft in the making: after each guess, whether one more is worth it, and at the end how many to verify."""

    def __init__(self, costs: BatchCosts, acceptance: Acceptance, price: float, step_ms: float, most: int) -> None:
        self.tokens: list[int] = []
        self.probabilities: list[float] = []
        self._costs, self._acceptance, self._price = costs, acceptance, price
        self._step_ms, self._most = step_ms, most
        self._share = 1.0
        self._expected = [1.0]

    def take(self, token: int, probability: float) -> bool:
        """Add a guess. Whether to ask for another."""
        self.tokens.append(token)
        self.probabilities.append(probability)
        self._share *= self._acceptance.of_confidence(probability)
        self._expected.append(self._expected[-1] + self._share)
        if len(self.tokens) >= self._most:
            return False
        best = max(self._value(count) for count in range(len(self.tokens) + 1))
        return any(value > best for value in self._further())

    def best_count(self) -> int:
        """How many are worth verifying; of equally good numbers the larger."""
        return max(range(len(self.tokens) + 1), key=lambda count: (self._value(count), count))

    def _value(self, count: int) -> float:
        return self._expected[count] - self._price * self._costs.ms(count + 1)

    def _further(self) -> Iterator[float]:
        """The value with one, two, … more guesses, each accepted as often as those at its position."""
        drafted = len(self.tokens)
        share, expected = self._share, self._expected[-1]
        for more in range(1, self._most - drafted + 1):
            share *= self._acceptance.at_position(drafted + more - 1)
            expected += share
            yield expected - self._price * (self._costs.ms(drafted + more + 1) + more * self._step_ms)
