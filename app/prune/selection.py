"""Which input columns of a matrix to keep when what remains is fitted to what all of them gave.

A column costs little when the others can stand in for it. Source: the optimal brain surgeon for whole columns, as in
Kurtic et al., "ZipLM" (arXiv 2302.04089): after every few removals the weights of the rest are fitted again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from app.prune.refit import DAMPING

_STEPS = 48
"""In which the columns go: more are slower and choose hardly better."""


def keep_for_refit(weight: Tensor, gram: Tensor, count: int) -> Tensor:
    """The numbers of the `count` columns that stay, ascending.

    `weight` is `[row, column]`, `gram` the sum of x x^T `[column, column]`, finite.
    """
    columns = len(gram)
    damped = gram + DAMPING * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(columns)
    inverse, fitted = torch.linalg.inv(damped.double()).float(), weight.float().clone()
    left = torch.ones(columns, dtype=torch.bool)
    step = max(1, -(-(columns - count) // _STEPS))
    while (excess := int(left.sum()) - count) > 0:
        cost = fitted.square().sum(dim=0) / inverse.diagonal().clamp_min(1e-30)
        gone = cost.masked_fill(~left, float("inf")).topk(min(step, excess), largest=False).indices
        share = torch.linalg.solve(inverse[gone][:, gone], inverse[gone])
        fitted -= fitted[:, gone] @ share
        inverse -= inverse[:, gone] @ share
        left[gone] = False
    return left.nonzero()[:, 0]
