"""SparseGPT (Frantar & Alistarh 2023, arXiv 2301.00774): weights are set to zero column by column, and later columns
make up for them.

The paper takes U, the upper Cholesky factor of the inverse of the damped Gram matrix H. This code takes R = U⁻¹, with H
= R Rᵀ, which overwrites H: no inverse, no second matrix. The loss of errors D = W - W' is ‖D R‖², so that columns B are
best at W_B + D_P R_PB R_BB⁻¹ for the errors D_P of the columns before them. Inside B it goes as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from app.errors import Cancelled, PruneError
from app.operation import ShouldStop
from app.prune.magnitude import Pattern, SparseMethod
from app.prune.method import Inputs, Statistic
from app.prune.weights import linear_layers

COLUMNS = 128
"""Number of columns whose zeros are chosen together, as in the paper."""
_DAMPING = 0.01
_PANEL = 512


class SparseGpt(SparseMethod):
    """The optimal brain surgeon with a fixed order of columns."""

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """See Method."""
        return dict.fromkeys(linear_layers(block), Statistic.GRAM)

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        layers = linear_layers(block)
        factored: set[int] = set()
        for place, (name, layer) in enumerate(layers.items()):
            given = inputs[name]
            assert given.gram is not None
            if id(given) not in factored:
                if not factor(given.gram, self.stop):
                    raise PruneError(f"What flows into “{name}” of block {index} cannot be factored.", "Take Wanda.")
                factored.add(id(given))
            # Weights of inputs that are always 0 cost nothing to remove, and nothing can make up for another weight
            # with them.
            layer.weight.data[:, given.sum_squares == 0] = 0.0
            sparsegpt(layer.weight.data, given.gram, self.request.amount, self.pattern, self.stop)
            if all(inputs[later] is not given for later in list(layers)[place + 1 :]):
                given.gram = None  # frees memory for the widest layer, which comes last


def factor(gram: Tensor, stop: ShouldStop = lambda: False) -> bool:
    """Replace H, the damped `gram` [n, n], by the upper triangular R with H = R Rᵀ, in place. False where H is not
    positive definite.
    """
    diagonal = gram.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1.0
    diagonal += _DAMPING * diagonal.mean()
    for end in range(len(gram), 0, -_PANEL):
        if stop():
            raise Cancelled
        start = max(0, end - _PANEL)
        corner, error = torch.linalg.cholesky_ex(gram[start:end, start:end].flip(0, 1))
        if error:
            return False
        corner = corner.flip(0, 1)
        gram[start:end, start:end] = corner
        above = gram[:start, start:end]
        above.copy_(torch.linalg.solve_triangular(corner.T, above, upper=False, left=False))
        for row in range(0, start, _PANEL):  # what is not upper triangular is never read
            rows = slice(row, min(row + _PANEL, start))
            gram[rows, row:start].addmm_(above[rows], above[row:].T, alpha=-1)
    return True


def sparsegpt(
    weights: Tensor,
    root: Tensor,
    amount: float,
    pattern: Pattern | None = None,
    stop: ShouldStop = lambda: False,
) -> None:
    """Prune `weights` [out, in] in place. `root` is what `factor` made of the Gram matrix of its inputs; what lies
    below its diagonal is not read.
    """
    errors = torch.empty_like(weights)
    for start in range(0, weights.shape[1], COLUMNS):
        if stop():
            raise Cancelled
        block = slice(start, min(start + COLUMNS, weights.shape[1]))
        part, original = weights[:, block], weights[:, block].clone()
        inverse = torch.linalg.solve_triangular(root[block, block], torch.eye(part.shape[1]), upper=True)
        if start:
            part += errors[:, :start] @ root[:start, block] @ inverse
        _prune_columns(part, inverse, amount, pattern)
        errors[:, block] = original - part


def _prune_columns(part: Tensor, inverse: Tensor, amount: float, pattern: Pattern | None) -> None:
    """Prune the columns `part` [out, columns] in place; each makes up for the errors of those before it. `inverse` is
    their corner of the paper's U, [columns, columns].
    """
    importance = inverse.diagonal().square().reciprocal()
    mask = torch.zeros_like(part, dtype=torch.bool)
    if pattern is None:
        scores = (part.square() * importance).flatten()
        mask.view(-1)[scores.sort(stable=True).indices[: int(scores.numel() * amount)]] = True
    for column in range(part.shape[1]):
        if pattern and column % pattern.group == 0:
            group = slice(column, column + pattern.group)
            scores = part[:, group].square() * importance[group]
            mask[:, group].scatter_(1, scores.sort(dim=1, stable=True).indices[:, : pattern.zeros], True)
        error = part[:, column] * mask[:, column] / inverse[column, column]
        part[:, column:] -= error[:, None] * inverse[column, column:]
        part[:, column].masked_fill_(mask[:, column], 0.0)
