"""How likely a drafted token is to be accepted, learned from what was: by position and by the draft's confidence."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_DRAFT = 31
"""Tokens: with the token before them they make a batch of 32, all the rows of logits that a context reserves."""


class Rate:
    """A share of successes that remembers the last 50 or so. `prior` counts as `weight` observations at the start."""

    _MEMORY = 0.98

    def __init__(self, prior: float, weight: float) -> None:
        self._prior = prior * weight
        self._weight = weight
        self._hits = self._tries = 0.0

    @property
    def value(self) -> float:
        """The estimate, between 0 and 1."""
        return (self._hits + self._prior) / (self._tries + self._weight)

    @property
    def hope(self) -> float:
        """The estimate like `value`, with the best as the prior: 1 before the first try, the same after many."""
        return (self._hits + self._weight) / (self._tries + self._weight)

    def observe(self, hit: bool) -> None:
        """Count one try."""
        self._hits = self._MEMORY * self._hits + hit
        self._tries = self._MEMORY * self._tries + 1


class Acceptance:
    """The estimates for a draft model, which says how sure it is of each token.

    By position: the share accepted there of those whose predecessors were all accepted, for tokens that are not drafted
    yet. By confidence: the share accepted among tokens of which the draft was about as sure. The prior takes the draft
    at its word (Leviathan et al. 2023, arXiv 2211.17192, has one rate for all).
    """

    _BINS = 10

    def __init__(self) -> None:
        self._positions = [Rate(0.6, 4.0) for _ in range(LONGEST_DRAFT)]
        self._bins = [Rate((i + 0.5) / self._BINS, 6.0) for i in range(self._BINS)]

    def at_position(self, index: int) -> float:
        """The acceptance of the token at `index` (from 0) of a draft, when all before it were accepted."""
        return self._positions[min(index, LONGEST_DRAFT - 1)].value

    def hoped_at_position(self, index: int) -> float:
        """The same, hopeful while little is known: a draft that is never asked could not show that it is good."""
        return self._positions[min(index, LONGEST_DRAFT - 1)].hope

    def of_confidence(self, probability: float) -> float:
        """The acceptance of a token to which the draft gave this probability."""
        return self._bin(probability).value

    def observe(self, probabilities: Sequence[float], accepted: int) -> None:
        """Learn from a verified draft, given the draft's probabilities: the first `accepted` were right."""
        for index, probability in enumerate(probabilities[: accepted + 1]):
            self._positions[index].observe(index < accepted)
            self._bin(probability).observe(index < accepted)

    def _bin(self, probability: float) -> Rate:
        return self._bins[min(self._BINS - 1, int(probability * self._BINS))]
