"""Fitting gate, up and down in turn: nearer to the whole FFN on text that was not fitted to, and never farther."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from app.errors import Cancelled
from app.prune.refit import conjugate_gradients, fit_in_turn, outputs, refit
from app.prune.weights import keep_rows, linear_of

HIDDEN, FFN, KEPT = 24, 48, 32


class Mlp(nn.Module):
    """As the FFN of a transformer."""

    def __init__(self, act_fn: Any, *, bias: bool = False) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(HIDDEN, FFN, bias), nn.Linear(HIDDEN, FFN, bias)
        self.down_proj = nn.Linear(FFN, HIDDEN, bias)
        self.act_fn = act_fn
        self.requires_grad_(False)


def text(windows: int, seed: int) -> list[Tensor]:
    """Inputs of few directions, as those of a model are."""
    mix = torch.randn(HIDDEN, HIDDEN, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1.5, HIDDEN)
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(64, HIDDEN, generator=draw) @ mix.T for _ in range(windows)]


def narrowed(whole: Mlp, windows: list[Tensor]) -> Mlp:
    """The first neurons, with the down projection refitted."""
    inner = torch.cat([whole.act_fn(whole.gate_proj(x)) * whole.up_proj(x) for x in windows])
    keep, narrow = torch.arange(KEPT), Mlp(whole.act_fn)
    narrow.gate_proj, narrow.up_proj = keep_rows(whole.gate_proj, keep), keep_rows(whole.up_proj, keep)
    narrow.down_proj = linear_of(refit(whole.down_proj.weight.data, inner.T @ inner, keep), whole.down_proj.bias)
    return narrow


def error(mlp: Mlp, windows: list[Tensor], targets: list[Tensor]) -> float:
    pairs = zip(outputs(mlp, windows), targets, strict=True)
    return sum(float((given - wanted).square().sum()) for given, wanted in pairs)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("act_fn", [nn.SiLU(), nn.GELU(approximate="tanh")])
def test_it_is_nearer_to_the_whole_on_other_text_than_the_refit_alone(act_fn: Any, bias: bool) -> None:
    whole, seen, other = Mlp(act_fn, bias=bias), text(32, 1), text(8, 2)
    narrow, wanted = narrowed(whole, seen), outputs(whole, other)
    before = error(narrow, other, wanted)
    fit_in_turn(narrow, seen, outputs(whole, seen), lambda: False)
    assert error(narrow, other, wanted) < 0.8 * before


def test_what_is_wanted_is_without_the_bias_of_the_down_projection() -> None:
    whole, seen = Mlp(nn.SiLU(), bias=True), text(1, 1)
    inner = whole.act_fn(whole.gate_proj(seen[0])) * whole.up_proj(seen[0])
    torch.testing.assert_close(outputs(whole, seen)[0] + whole.down_proj.bias, whole.down_proj(inner))


def test_a_change_that_does_not_help_the_windows_kept_apart_is_taken_back() -> None:
    """What is wanted of the windows that are fitted is noise; of those kept apart it is what is there."""
    mlp, seen = Mlp(nn.SiLU()), text(17, 1)
    wanted = [y if not number % 8 else torch.randn_like(y) for number, y in enumerate(outputs(mlp, seen))]
    before = [parameter.clone() for parameter in mlp.parameters()]
    fit_in_turn(mlp, seen, wanted, lambda: False)
    for parameter, was in zip(mlp.parameters(), before, strict=True):
        assert torch.equal(parameter, was)


@pytest.mark.parametrize("windows", [1, 2])
def test_little_text_does_not_make_it_worse(windows: int) -> None:
    whole, seen, other = Mlp(nn.SiLU()), text(windows, 1), text(8, 2)
    narrow, wanted = narrowed(whole, seen), outputs(whole, other)
    before = error(narrow, seen, outputs(whole, seen))
    fit_in_turn(narrow, seen, outputs(whole, seen), lambda: False)
    assert error(narrow, seen, outputs(whole, seen)) <= before
    assert torch.isfinite(torch.tensor(error(narrow, other, wanted)))


def test_it_can_be_stopped() -> None:
    mlp, seen = Mlp(nn.SiLU()), text(4, 1)
    with pytest.raises(Cancelled):
        fit_in_turn(mlp, seen, outputs(mlp, seen), lambda: True)


def test_as_many_steps_as_unknowns_solve_it() -> None:
    root = torch.randn(6, 6, dtype=torch.float64)
    square, right = root @ root.T + torch.eye(6), torch.randn(6, dtype=torch.float64)
    found = conjugate_gradients(lambda v: square @ v, right, lambda g: g / square.diagonal(), 6)
    torch.testing.assert_close(square @ found, right)
    early = conjugate_gradients(lambda v: square @ v, right, lambda g: g / square.diagonal(), 2)
    assert float((square @ early - right).norm()) > 1e-3


def test_nothing_is_left_to_do_where_nothing_is_missed() -> None:
    found = conjugate_gradients(lambda v: v, torch.zeros(3), lambda g: g, 3)
    assert torch.equal(found, torch.zeros(3))
