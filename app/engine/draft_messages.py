"""What is said of drafts (speculative decoding): how they do in an answer, what they gain, that they change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.engine.need import MemoryNeed
from app.operation import Event

PAYS_FROM = 1.05
"""Times as fast as plain decoding: less is within what two measurements differ by, and a draft takes memory."""

ROUNDING_MARGIN = 1e-3
"""Of probability: a difference of tokens at a smaller margin is explained by rounding."""


@dataclass(frozen=True, slots=True)
class DraftLoaded:
    """The draft model that is in memory beside the model. `need` is its own, and part of the model's `draft_bytes`."""

    path: Path
    name: str
    need: MemoryNeed
    ms_per_token: float
    """Measured at the load."""


@dataclass(frozen=True, slots=True)
class DraftFigures(Event):
    """How drafting goes in an answer: said while it is generated, when something changes, and at its end.

    `is_on` is False while tokens are decoded plainly because drafting loses here; it is tried again now and then.
    `steps` counts the runs of the model, each of which gives one token and those that were accepted.
    """

    is_on: bool
    drafted_tokens: int
    accepted_tokens: int
    steps: int
    new_tokens: int
    ms_per_token: float
    plain_ms_per_token: float
    """Of the tokens decoded without a draft, measured on this machine beside the others; 0 before any was."""

    @property
    def acceptance(self) -> float:
        """Share of the drafted tokens that the model accepted, 0 to 1."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else 0.0

    @property
    def tokens_per_step(self) -> float:
        """New tokens for each run of the model; 1 is plain decoding."""
        return self.new_tokens / self.steps if self.steps else 0.0

    @property
    def speed_up(self) -> float:
        """How many times faster than plain decoding, measured; 0 while that is not known."""
        return self.plain_ms_per_token / self.ms_per_token if self.ms_per_token else 0.0


@dataclass(frozen=True, slots=True)
class DraftVerdict:
    """What drafting gains on a prompt: medians over pairs of answers, one plain and one with the drafts."""

    plain_tokens_per_second: float
    speculative_tokens_per_second: float
    acceptance: float
    tokens_per_step: float
    pairs: int
    new_tokens: int
    """Of one answer."""

    @property
    def ratio(self) -> float:
        """Above 1 drafting is faster."""
        return self.speculative_tokens_per_second / self.plain_tokens_per_second

    @property
    def pays(self) -> bool:
        """Whether it is faster by more than two measurements of the same thing differ."""
        return self.ratio >= PAYS_FROM and self.acceptance > 0


@dataclass(frozen=True, slots=True)
class Difference:
    """The first token at which an answer with drafts differs from the plain one.

    At temperature 0 `margin` is how much more probable the plain token was than the second best; otherwise the largest
    difference of probability of any token between the two ways. A few thousandths are rounding: a batch is summed
    in another order than a single token.
    """

    prompt: str
    position: int
    plain: str
    speculative: str
    margin: float

    @property
    def is_rounding(self) -> bool:
        """Whether rounding explains it; otherwise it is a fault."""
        return self.margin <= ROUNDING_MARGIN


@dataclass(frozen=True, slots=True)
class DraftCheck:
    """The result of comparing answers with and without drafts."""

    prompts: int
    tokens: int
    """Compared, of all answers together."""
    accepted_tokens: int
    """Of those, accepted from a draft: without any, nothing was checked."""
    differences: tuple[Difference, ...]

    @property
    def is_sound(self) -> bool:
        """Identical, but for rounding."""
        return all(difference.is_rounding for difference in self.differences)
