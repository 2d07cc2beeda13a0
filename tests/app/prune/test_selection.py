"""Columns that others can stand in for go first, which their own size does not tell."""

from __future__ import annotations

import torch

from app.prune.refit import keep_for_refit, refit

COLUMNS, COUNT = 64, 32


def inputs() -> torch.Tensor:
    """Half as many directions as columns, a little noise, columns of very different size."""
    generator = torch.Generator().manual_seed(5)
    mixed = torch.randn(4000, COUNT, generator=generator) @ torch.randn(COUNT, COLUMNS, generator=generator)
    sizes = torch.rand(COLUMNS, generator=generator) + 0.1
    return (mixed + 0.5 * torch.randn(4000, COLUMNS, generator=generator)) * sizes


def test_the_refit_errs_less_with_what_it_keeps() -> None:
    rows, weight = inputs(), torch.randn(16, COLUMNS, generator=torch.Generator().manual_seed(6))
    gram = rows.T @ rows
    by_size = (gram.diagonal() * weight.square().sum(0)).topk(COUNT).indices.sort().values

    def error(keep: torch.Tensor) -> float:
        return float((rows[:, keep] @ refit(weight, gram, keep).T - rows @ weight.T).square().sum())

    kept = keep_for_refit(weight, gram, COUNT)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == COUNT
    assert error(kept) < 0.9 * error(by_size)


def test_of_two_equal_columns_one_goes() -> None:
    rows, weight = torch.randn(4000, COLUMNS, generator=torch.Generator().manual_seed(5)), torch.ones(4, COLUMNS)
    rows[:, 7] = 2 * rows[:, 8]
    rows[:, 0] *= 0.5
    gone = set(range(COLUMNS)) - set(keep_for_refit(weight, rows.T @ rows, COLUMNS - 1).tolist())
    assert gone <= {7, 8}
    # The control: by its energy another one would be the first.
    assert int(rows.square().sum(0).argmin()) == 0


def test_without_correlations_the_smallest_go() -> None:
    weight = torch.ones(4, COLUMNS)
    sizes = torch.arange(1.0, COLUMNS + 1)
    assert keep_for_refit(weight, torch.diag(sizes), COUNT).tolist() == list(range(COLUMNS - COUNT, COLUMNS))
