"""Dividing a number of bytes among groups of tensors so that the expected loss is least.

The classic of rate-distortion allocation (Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of
quantizers"): the cheapest choice for all, then always the upgrade that saves most loss a byte, as long as it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """One type for a group: what it takes, and the loss that is expected of it."""

    type: str
    size_bytes: int
    loss: float


def allocate(choices: Sequence[Sequence[Choice]], budget_bytes: int) -> tuple[Choice, ...]:
    """One choice for each group, together at most `budget_bytes` where the smallest ones are."""
    chosen = [min(options, key=lambda option: (option.size_bytes, option.loss)) for options in choices]
    free = budget_bytes - sum(choice.size_bytes for choice in chosen)
    while True:
        best, gain = -1, 0.0
        for number, options in enumerate(choices):
            for option in options:
                more, saved = option.size_bytes - chosen[number].size_bytes, chosen[number].loss - option.loss
                if 0 < more <= free and saved > 0 and saved / more > gain:
                    best, gain, upgrade = number, saved / more, option
        if best < 0:
            return tuple(chosen)
        free -= upgrade.size_bytes - chosen[best].size_bytes
        chosen[best] = upgrade
