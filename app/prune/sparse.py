"""What the methods that set weights to zero have in common: the amount, the pattern, the words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from app.errors import PruneError
from app.library.gguf_reader import printable
from app.operation import ShouldStop
from app.prune.block_model import BlockModel
from app.prune.messages import Prune
from app.prune.method import Method
from app.units import percent

_PATTERN = re.compile(r"([1-9]\d?):([1-9]\d?)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """`zeros` among each `group` neighbours of a row."""

    zeros: int
    group: int


def pattern_of(request: Prune) -> Pattern | None:
    """The pattern that was asked for, if any. Raises PruneError for one that cannot be or that is not the amount."""
    if not request.pattern:
        return None
    found = _PATTERN.fullmatch(request.pattern)
    if found is None or int(found[1]) >= int(found[2]):
        raise PruneError(f"“{printable(request.pattern)}” is not a pattern.", "Take 2:4 or 4:8, or none.")
    pattern = Pattern(int(found[1]), int(found[2]))
    if abs(pattern.zeros / pattern.group - request.amount) > 1e-6:
        raise PruneError(
            f"The pattern {request.pattern} sets {percent(pattern.zeros / pattern.group)} of the weights to zero, and "
            f"{percent(request.amount)} were asked for.",
            "Leave the pattern out, or ask for what it sets.",
        )
    return pattern


class SparseMethod(Method):
    """Sets weights to zero: in any place, or so many in each group of neighbours."""

    name = ""

    def __init__(self, request: Prune, stop: ShouldStop) -> None:
        super().__init__(request, stop)
        self.pattern = pattern_of(request)

    def check(self, model: BlockModel) -> None:
        """See Method."""
        if self.pattern is None:
            return
        for index, name, tensor in model.matrices():
            if tensor.shape[1] % self.pattern.group:
                raise PruneError(
                    f"The rows of “{name}” in block {index} have {tensor.shape[1]} weights, which are no whole groups "
                    f"of {self.pattern.group}.",
                    "Leave the pattern out.",
                )

    def recipe(self) -> str:
        """See Method."""
        return f"{self.name}, {self.request.pattern or percent(self.request.amount)} zeros"


SORTED = 1 << 21
"""Weights that are sorted at a time: their places take twice their memory."""


def zero_lowest_in_groups(weights: Tensor, scores: Tensor, pattern: Pattern) -> None:
    """Set the weights with the lowest scores of each group to zero; where scores are equal, the first ones."""
    groups = scores.view(-1, pattern.group)
    lowest = groups.sort(dim=1, stable=True).indices[:, : pattern.zeros]
    weights.view(-1, pattern.group).scatter_(1, lowest, 0.0)


def zero_lowest_in_rows(weights: Tensor, scores: Tensor, count: int) -> None:
    """Set `count` weights of each row to zero, those with the lowest scores; where they are equal, the first ones."""
    weights.scatter_(1, scores.sort(dim=1, stable=True).indices[:, :count], 0.0)
