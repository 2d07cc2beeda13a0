"""Which drafts are made: a good one is found on a machine where batches are dear, and a bad one costs little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from app.engine.acceptance import Acceptance
from app.engine.batch_costs import BatchCosts
from app.engine.drafting import Drafting

STEEP_MS = {1: 30.0, 2: 51.0, 3: 70.0, 4: 72.0, 8: 144.0}
"""Measured of a 4-bit model on a processor without AVX-512: two tokens cost nearly as much as one after the other."""
PROMPT, ANSWER = 25, 200


class FakeModel:
    """A draft that is always as sure, and right in every case or in none."""

    step_ms, read_ms = 2.7, 1.0

    def __init__(self, right: bool) -> None:
        self._offset = 1 if right else 2
        self._read = 0

    def behind(self, tokens: Sequence[int]) -> int:
        return len(tokens) - self._read

    def has_room(self, tokens: int) -> bool:
        return True

    def guesses(self, tokens: Sequence[int]) -> Iterator[tuple[int, float]]:
        self._read = len(tokens)
        token = tokens[-1]
        while True:
            token += self._offset
            yield token, 0.97


def speed_up(right: bool) -> float:
    """Against plain decoding, of an answer that counts upwards, at the costs above."""
    drafting = Drafting(BatchCosts(STEEP_MS), FakeModel(right), None)
    drafting.begin_answer()
    tokens, ms = list(range(PROMPT)), 0.0
    while len(tokens) < PROMPT + ANSWER:
        draft = drafting.propose(tokens, 100)
        accepted = next((i for i, token in enumerate(draft.tokens) if token != tokens[-1] + 1 + i), draft.count)
        drawn = [tokens[-1] + 1 + i for i in range(accepted + 1)]
        size = drafting.costs.filled(draft.count + 1)
        drafting.observe(draft, drawn, size, STEEP_MS[size])
        ms += STEEP_MS[size] + len(draft.guesses) * FakeModel.step_ms
        tokens += drawn
    return (len(tokens) - PROMPT) * STEEP_MS[1] / ms


def test_a_good_draft_is_found_where_a_usual_one_would_not_pay() -> None:
    assert speed_up(right=True) > 1.25


def test_a_useless_draft_costs_little() -> None:
    assert speed_up(right=False) > 0.96


def test_without_hope_the_good_draft_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr(Acceptance, "hoped_at_position", Acceptance.at_position)
    assert speed_up(right=True) == pytest.approx(1.0)
