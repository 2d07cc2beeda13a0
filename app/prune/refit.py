"""The closed-form refit: a matrix that lost input columns is fitted by least squares to what the whole one gave.

What a dropped column brought is in part known from the columns that stay, because inputs are correlated. Sources: the
Gram matrix of the inputs as in Frantar & Alistarh, "Optimal Brain Compression" (arXiv 2208.11580), and layer-wise least
squares as in Yang et al., "LaCo" (arXiv 2402.11187).
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


# Which input columns of a matrix to keep when what remains is fitted to what all of them gave.
#
# A column costs little when the others can stand in for it. Source: the optimal brain surgeon for whole columns, as in
# Kurtic et al., "ZipLM" (arXiv 2302.04089): after every few removals the weights of the rest are fitted again.


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


# Alternating least squares: up, gate and down projection of a narrower FFN are fitted in turn to what the whole gave.
#
# The refit of the down projection alone has a closed form. Of the other two, what a change of the weights does to the
# output is linear (up) or nearly so (gate), and its least squares are solved by preconditioned conjugate gradients
# (Hestenes and Stiefel 1952), a few steps of them: no learning rate, no labels, one block in memory. That blocks are
# fitted one after the other follows Yang et al., "LaCo" (arXiv 2402.11187).
#
# Every eighth window is not fitted to: a change stays only where it brings those nearer too, so that little text, or a
# step of the gate that went too far, cannot make the result worse.


ROUNDS = 2
STEPS = 3
"""Of conjugate gradients in each fit. More steps, or rounds, fit the text that is read and nothing else."""
_APART = 8


def outputs(mlp: Any, windows: Sequence[Tensor]) -> list[Tensor]:
    """What the FFN gives, without the bias of its down projection, for `windows` of inputs [token, hidden]."""
    with torch.no_grad():
        return [_output(mlp, window) for window in windows]


@torch.no_grad()
def fit_in_turn(mlp: Any, windows: Sequence[Tensor], targets: Sequence[Tensor], stop: ShouldStop) -> None:
    """Change the weights of `mlp` (gate_proj, up_proj, down_proj, act_fn) so that it gives `targets`.

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
    """The three fits. `pairs` are windows with what is wanted of them."""

    def __init__(self, mlp: Any, pairs: Sequence[tuple[Tensor, Tensor]], stop: ShouldStop) -> None:
        self._mlp, self._pairs, self._stop = mlp, pairs, stop

    def up(self) -> None:
        """The output changes by down (act(gate x) * change x)."""
        self._by_gradients(self._mlp.up_proj, lambda x: self._mlp.act_fn(self._mlp.gate_proj(x)))

    def gate(self) -> None:
        """To first order the output changes by down (act'(gate x) * up x * change x)."""
        self._by_gradients(self._mlp.gate_proj, lambda x: self._slope(x) * self._mlp.up_proj(x))

    def down(self) -> None:
        """In closed form, drawn towards what it is."""
        weight: Tensor = self._mlp.down_proj.weight.data
        gram, missed = weight.new_zeros(weight.shape[1], weight.shape[1]), torch.zeros_like(weight)
        for x, y in self._each():
            inner = _inner(self._mlp, x)
            gram.addmm_(inner.T, inner)
            missed.addmm_((y - functional.linear(inner, weight)).T, inner)
        self._mlp.down_proj.weight.data = weight + solve(missed, gram)

    def _by_gradients(self, layer: nn.Linear, factor: Callable[[Tensor], Tensor]) -> None:
        """Least squares in the change V of the layer's weights: what is missed against down (factor(x) * V x)."""
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

        # The curvature if neurons did not meet in the output: a number for each of them, one matrix for the columns.
        inverse = solve(torch.eye(len(gram)), gram)
        layer.weight.data = layer.weight.data + conjugate_gradients(
            curvature, missed, lambda gradient: gradient / rows[:, None] @ inverse, STEPS
        )

    def _slope(self, x: Tensor) -> Tensor:
        """The derivative of the activation, whichever it is, at gate x."""
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
    """`steps` towards the solution of A v = right, A being symmetric and positive definite, from zero."""
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
    """What flows into the down projection."""
    inner: Tensor = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
    return inner


def _output(mlp: Any, x: Tensor) -> Tensor:
    """Without the bias of the down projection."""
    return functional.linear(_inner(mlp, x), mlp.down_proj.weight)


def _error(mlp: Any, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Sum of squares."""
    return sum(float((_output(mlp, x) - y).square().sum()) for x, y in pairs)
