"""The closed-form refit: a matrix that lost input columns is fitted by least squares to the output of the whole matrix.

What a dropped column contributed can in part be predicted from the columns that stay, because inputs are correlated.
Sources: the Gram matrix of the inputs as in Frantar & Alistarh, "Optimal Brain Compression" (arXiv 2208.11580), and
layer-wise least squares as in Yang et al., "LaCo" (arXiv 2402.11187).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import Cancelled, PruneError
from app.operation import ShouldStop

DAMPING = 0.01
"""Share of the diagonal's mean that is added to it: the text shows fewer directions than there are columns."""
_MOST_DAMPING = 10.0


def refit(weight: Tensor, gram: Tensor, keep: Tensor, damping: float = DAMPING) -> Tensor:
    """W' `[row, kept]` in f32 with the least squared error of W' x[k] against W x: W' = W G[:, k] G[k, k]^-1, damped
    towards W[:, k], so that nothing changes where no column is dropped.

    `weight` is `[row, column]`, `gram` the sum of x x^T `[column, column]`, `keep` the numbers of the columns that
    stay. Raises PruneError where inputs are not finite.
    """
    gone = _others(keep, weight.shape[1])
    lost = weight.float()[:, gone] @ gram[gone][:, keep]
    return weight.float()[:, keep] + solve(lost, gram[keep][:, keep], damping)


def refit_with_bias(
    weight: Tensor, bias: Tensor, gram: Tensor, sums: Tensor, tokens: int, keep: Tensor, damping: float = DAMPING
) -> tuple[Tensor, Tensor]:
    """`refit` with a bias, which is fitted too since its input is always 1. `sums` is the sum of x `[column]`."""
    mean = sums / max(tokens, 1)
    fitted = refit(weight, gram - tokens * torch.outer(mean, mean), keep, damping)
    return fitted, bias.float() + weight.float() @ mean - fitted @ mean[keep]


def _others(keep: Tensor, columns: int) -> Tensor:
    gone = torch.ones(columns, dtype=torch.bool)
    gone[keep] = False
    return gone.nonzero()[:, 0]


def solve(right: Tensor, gram: Tensor, damping: float = DAMPING) -> Tensor:
    """right (gram + damping I)^-1 by Cholesky in f64, with more damping where `gram` is not positive definite without
    it.

    Damping is a share of the mean of the diagonal. Raises PruneError where inputs are not finite.
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


# Which input columns of a matrix to keep when those that remain are fitted to the output of all.
#
# A column costs little when the others can stand in for it. Source: the optimal brain surgeon for whole columns, as in
# Kurtic et al., "ZipLM" (arXiv 2302.04089): after every few removals the weights of the rest are fitted again.


_STEPS = 48
"""Number of steps in which the columns are removed: more steps are slower and choose hardly better."""


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


# Alternating least squares: up, gate and down projection of a narrower FFN are fitted in turn to the output of the
# whole FFN.
#
# The refit of the down projection alone has a closed form. A change of the other two changes the output linearly (up)
# or nearly so (gate), and its least squares are solved by a few steps of preconditioned conjugate gradients (Hestenes
# and Stiefel 1952): no learning rate, no labels, one block in memory. That blocks are fitted one after the other
# follows Yang et al., "LaCo" (arXiv 2402.11187).
#
# Every eighth window is kept out of the fit: a change stays only where it reduces the error on those too, so that a
# short text, or a step of the gate that went too far, cannot make the result worse.


ROUNDS = 2
STEPS = 3
"""Steps of conjugate gradients in each fit. More steps, or rounds, overfit the text that is read."""
_APART = 8


def outputs(mlp: Any, windows: Sequence[Tensor]) -> list[Tensor]:
    """Outputs of the FFN, without the bias of its down projection, for `windows` of inputs [token, hidden]."""
    with torch.no_grad():
        return [_output(mlp, window) for window in windows]


@torch.no_grad()
def fit_in_turn(mlp: Any, windows: Sequence[Tensor], targets: Sequence[Tensor], stop: ShouldStop) -> None:
    """Change the weights of `mlp` (gate_proj, up_proj, down_proj, act_fn) so that its outputs come near `targets`.

    Both are lists of [token, hidden], the targets without the bias of the down projection. Raises Cancelled.
    """
    pairs = list(zip(windows, targets, strict=True))
    apart = pairs[::_APART]
    fit = _Fit(mlp, [pair for number, pair in enumerate(pairs) if number % _APART] or apart, stop)
    best = _error(mlp, apart)
    for change in (fit.up, fit.gate, fit.down) * ROUNDS:
        before = {layer: layer.weight.data for layer in (mlp.up_proj, mlp.gate_proj, mlp.down_proj)}
        change()
        error = _error(mlp, apart)
        if error < best:
            best = error
            continue
        for layer, weight in before.items():
            layer.weight.data = weight


class _Fit:
    """The fits of the three projections. `pairs` are windows of inputs with their target outputs."""

    def __init__(self, mlp: Any, pairs: Sequence[tuple[Tensor, Tensor]], stop: ShouldStop) -> None:
        self._mlp, self._pairs, self._stop = mlp, pairs, stop

    def up(self) -> None:
        """Fit the up projection, whose change moves the output by down (act(gate x) * change x)."""
        self._by_gradients(self._mlp.up_proj, lambda x: self._mlp.act_fn(self._mlp.gate_proj(x)))

    def gate(self) -> None:
        """Fit the gate projection, whose change moves the output to first order by down (act'(gate x) * up x * change
        x).
        """
        self._by_gradients(self._mlp.gate_proj, lambda x: self._slope(x) * self._mlp.up_proj(x))

    def down(self) -> None:
        """Fit the down projection in closed form, regularised towards its present weights."""
        weight: Tensor = self._mlp.down_proj.weight.data
        gram, missed = weight.new_zeros(weight.shape[1], weight.shape[1]), torch.zeros_like(weight)
        for x, y in self._each():
            inner = _inner(self._mlp, x)
            gram.addmm_(inner.T, inner)
            missed.addmm_((y - functional.linear(inner, weight)).T, inner)
        self._mlp.down_proj.weight.data = weight + solve(missed, gram)

    def _by_gradients(self, layer: nn.Linear, factor: Callable[[Tensor], Tensor]) -> None:
        """Fit the change V of the layer's weights by least squares: the remaining error against down (factor(x) * V
        x).
        """
        down: Tensor = self._mlp.down_proj.weight.data
        factors, missed = [], torch.zeros_like(layer.weight.data)
        squares, gram = down.new_zeros(len(missed)), down.new_zeros(missed.shape[1], missed.shape[1])
        for x, y in self._each():
            factors.append(factor(x))
            missed.addmm_((((y - _output(self._mlp, x)) @ down) * factors[-1]).T, x)
            squares += factors[-1].square().sum(0)
            gram.addmm_(x.T, x)
        rows = down.square().sum(0) * squares / max(sum(len(x) for x, _ in self._pairs), 1)
        rows.clamp_(min=max(1e-3 * float(rows.mean()), 1e-30))
        drawn = DAMPING * float(rows.mean()) * float(gram.diagonal().mean())

        def curvature(change: Tensor) -> Tensor:
            total = drawn * change
            for (x, _), factor in zip(self._each(), factors, strict=True):
                total.addmm_(((functional.linear(functional.linear(x, change) * factor, down) @ down) * factor).T, x)
            return total

        # Preconditioner: the curvature if the neurons did not interact, a factor for each neuron and one matrix for the
        # columns.
        inverse = solve(torch.eye(len(gram)), gram)
        layer.weight.data = layer.weight.data + conjugate_gradients(
            curvature, missed, lambda gradient: gradient / rows[:, None] @ inverse, STEPS
        )

    def _slope(self, x: Tensor) -> Tensor:
        """The derivative of the activation function, whichever it is, at gate x."""
        with torch.enable_grad():
            inputs = self._mlp.gate_proj(x).detach().requires_grad_()
            slope: Tensor
            (slope,) = torch.autograd.grad(self._mlp.act_fn(inputs).sum(), inputs)
        return slope

    def _each(self) -> Any:
        for pair in self._pairs:
            if self._stop():
                raise Cancelled
            yield pair


def conjugate_gradients(
    times: Callable[[Tensor], Tensor], right: Tensor, precondition: Callable[[Tensor], Tensor], steps: int
) -> Tensor:
    """The result of `steps` steps from zero towards the solution of A v = right, A being symmetric and positive
    definite.
    """
    solution, residual = torch.zeros_like(right), right
    direction = steep = precondition(residual)
    along = float((residual * steep).sum())
    for _ in range(steps):
        if along <= 0:
            break  # solved
        bent = times(direction)
        step = along / float((direction * bent).sum())
        solution = solution + step * direction
        residual = residual - step * bent
        steep = precondition(residual)
        along, before = float((residual * steep).sum()), along
        direction = steep + along / before * direction
    return solution


def _inner(mlp: Any, x: Tensor) -> Tensor:
    """The input of the down projection."""
    inner: Tensor = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
    return inner


def _output(mlp: Any, x: Tensor) -> Tensor:
    """The FFN's output without the bias of the down projection."""
    return functional.linear(_inner(mlp, x), mlp.down_proj.weight)


def _error(mlp: Any, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Sum of the squared errors."""
    return sum(float((_output(mlp, x) - y).square().sum()) for x, y in pairs)
