"""The closed-form refit: a matrix that lost input columns is fitted by least squares to what the whole one gave.

What a dropped column brought is in part known from the columns that stay, because inputs are correlated. Sources: the
Gram matrix of the inputs as in Frantar & Alistarh, "Optimal Brain Compression" (arXiv 2208.11580), and layer-wise least
squares as in Yang et al., "LaCo" (arXiv 2402.11187).
"""

from __future__ import annotations

import torch
from torch import Tensor

from app.errors import PruneError

DAMPING = 0.01
"""Of the mean of the diagonal, added to it: the text shows fewer directions than there are columns."""
_MOST_DAMPING = 10.0


class Inputs:
    """The Gram matrix and the sums of the rows a matrix is given, `[column, column]` and `[column]`, in f32."""

    def __init__(self, columns: int) -> None:
        self.gram = torch.zeros(columns, columns)
        self.sums = torch.zeros(columns)
        self.rows = 0

    def add(self, rows: Tensor) -> None:
        """`[..., column]`, of any float type."""
        flat = rows.reshape(-1, rows.shape[-1]).float()
        self.gram.addmm_(flat.T, flat)
        self.sums += flat.sum(dim=0)
        self.rows += len(flat)

    @property
    def energy(self) -> Tensor:
        """`[column]`: the mean square."""
        return self.gram.diagonal() / max(self.rows, 1)


def refit(weight: Tensor, inputs: Inputs, keep: Tensor, damping: float = DAMPING) -> Tensor:
    """`[row, kept]` in f32: W' = W G[:, k] (G[k, k] + damping I)^-1, the least squared error of W' x[k] against W x.

    `weight` is `[row, column]`, `keep` the indices of the columns that stay. Raises PruneError for inputs that are no
    numbers.
    """
    return _solve(weight.float() @ inputs.gram[:, keep], inputs.gram[keep][:, keep], damping)


def refit_with_bias(
    weight: Tensor, bias: Tensor, inputs: Inputs, keep: Tensor, damping: float = DAMPING
) -> tuple[Tensor, Tensor]:
    """The same where there is a bias, which is fitted too: it is one more column, whose input is always 1."""
    tall = torch.cat([inputs.gram, inputs.sums[None]])
    whole = torch.cat([tall, torch.cat([inputs.sums, torch.tensor([float(inputs.rows)])])[:, None]], dim=1)
    kept = torch.cat([keep, torch.tensor([len(inputs.sums)])])
    wide = torch.cat([weight.float(), bias.float()[:, None]], dim=1)
    fitted = _solve(wide @ whole[:, kept], whole[kept][:, kept], damping)
    return fitted[:, :-1].contiguous(), fitted[:, -1].contiguous()


def _solve(right: Tensor, gram: Tensor, damping: float) -> Tensor:
    """right (gram + damping I)^-1 by Cholesky in f64, with more damping where it takes more to be positive definite."""
    if not bool(torch.isfinite(gram).all()):
        raise PruneError(
            "What flows through the model holds values that are no numbers (NaN or infinity).",
            "Take another text to read, or the original model in bf16 instead of fp16.",
        )
    square = gram.double()
    step = max(float(square.diagonal().mean()), 1e-12)
    while damping <= _MOST_DAMPING:
        damped = square + damping * step * torch.eye(len(square), dtype=torch.float64)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            solved: Tensor = torch.cholesky_solve(right.double().T, factor).T
            return solved.float().contiguous()
        damping *= 10
    raise PruneError("The refit has no solution: the inputs are not those of a working model.")
