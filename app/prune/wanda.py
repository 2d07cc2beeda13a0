"""Wanda (Sun et al. 2023, arXiv 2306.11695): weights by their magnitude times the norm of what flows into them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from app.prune.method import Inputs, Statistic
from app.prune.sparse import SORTED, Pattern, SparseMethod, zero_lowest_in_groups, zero_lowest_in_rows
from app.prune.weights import linear_layers, parts


class Wanda(SparseMethod):
    """The lowest |W| ‖x‖ of each output row."""

    name = "Wanda"

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """See Method."""
        return dict.fromkeys(linear_layers(block), Statistic.SUM_SQUARES)

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        for name, layer in linear_layers(block).items():
            wanda(layer.weight.data, inputs[name].sum_squares, self.request.amount, self.pattern)


def wanda(weights: Tensor, sum_squares: Tensor, amount: float, pattern: Pattern | None = None) -> None:
    """Set the share `amount` of each row of `weights` [out, in] to zero, or what the pattern says of each group."""
    norms = sum_squares.sqrt()
    for rows in parts(weights, SORTED):
        scores = rows.abs() * norms
        if pattern:
            zero_lowest_in_groups(rows, scores, pattern)
        else:
            zero_lowest_in_rows(rows, scores, int(rows.shape[1] * amount))
