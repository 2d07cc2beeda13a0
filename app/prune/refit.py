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


def refit(weight: Tensor, gram: Tensor, keep: Tensor, damping: float = DAMPING) -> Tensor:
    """`[row, kept]` in f32, of the least squared error of W' x[k] against W x: W' = W G[:, k] G[k, k]^-1, where damping
    draws towards W[:, k], so that where nothing is dropped nothing changes.

    `weight` is `[row, column]`, `gram` the sum of x x^T `[column, column]`, `keep` the numbers of the columns that
    stay. Raises PruneError for inputs that are no numbers.
    """
    gone = _others(keep, weight.shape[1])
    lost = weight.float()[:, gone] @ gram[gone][:, keep]
    return weight.float()[:, keep] + solve(lost, gram[keep][:, keep], damping)


def refit_with_bias(
    weight: Tensor, bias: Tensor, gram: Tensor, sums: Tensor, tokens: int, keep: Tensor, damping: float = DAMPING
) -> tuple[Tensor, Tensor]:
    """The same where there is a bias, which is fitted too: its input is always 1. `sums` is the sum of x `[column]`."""
    mean = sums / max(tokens, 1)
    fitted = refit(weight, gram - tokens * torch.outer(mean, mean), keep, damping)
    return fitted, bias.float() + weight.float() @ mean - fitted @ mean[keep]


def _others(keep: Tensor, columns: int) -> Tensor:
    gone = torch.ones(columns, dtype=torch.bool)
    gone[keep] = False
    return gone.nonzero()[:, 0]


def solve(right: Tensor, gram: Tensor, damping: float = DAMPING) -> Tensor:
    """right (gram + damping I)^-1 by Cholesky in f64, with more damping where it takes more to be positive definite.

    Damping is a share of the mean of the diagonal. Raises PruneError for inputs that are no numbers.
    """
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
