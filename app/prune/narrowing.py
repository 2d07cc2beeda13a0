"""Smaller linear layers from larger ones: rows of the output kept, or columns of the input."""

from __future__ import annotations

from torch import Tensor, nn

from app.prune.method import Inputs
from app.prune.refit import refit, refit_with_bias


def keep_rows(linear: nn.Linear, rows: Tensor) -> nn.Linear:
    """The outputs numbered in `rows`, with their biases."""
    bias = None if linear.bias is None else linear.bias.data[rows]
    return linear_of(linear.weight.data[rows], bias)


def keep_columns(linear: nn.Linear, columns: Tensor, inputs: Inputs | None) -> nn.Linear:
    """The inputs numbered in `columns`; with the bias fitted to what all of them gave, where `inputs` say, with their
    Gram matrix, what those were.
    """
    weight = linear.weight.data
    if inputs is None or inputs.gram is None:
        return linear_of(weight[:, columns], linear.bias)
    if linear.bias is None or inputs.sums is None:
        return linear_of(refit(weight, inputs.gram, columns), linear.bias)
    return linear_of(*refit_with_bias(weight, linear.bias.data, inputs.gram, inputs.sums, inputs.tokens, columns))


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """`weight` is [out_features, in_features]."""
    linear = nn.Linear(1, 1, bias=False)
    linear.out_features, linear.in_features = weight.shape
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return linear
