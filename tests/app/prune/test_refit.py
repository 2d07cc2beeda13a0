"""The refit is the least-squares solution, and what it is worth is lost with the correlations of the inputs."""

from __future__ import annotations

import pytest
import torch

from app.errors import PruneError
from app.prune.refit import refit, refit_with_bias

COLUMNS, ROWS, TOKENS = 24, 10, 4000
KEEP = torch.arange(0, COLUMNS, 2)


@pytest.fixture
def rows() -> torch.Tensor:
    """Correlated inputs around a mean that is not zero."""
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(TOKENS, 12, generator=generator) @ torch.randn(12, COLUMNS, generator=generator)
    return hidden + 0.3 * torch.randn(TOKENS, COLUMNS, generator=generator) + 2.0


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(6))


def gram_of(rows: torch.Tensor) -> torch.Tensor:
    return rows.T @ rows


def test_it_is_the_least_squares_solution(rows: torch.Tensor, weight: torch.Tensor) -> None:
    expected = torch.linalg.lstsq(rows[:, KEEP].double(), (rows @ weight.T).double()).solution.T
    fitted = refit(weight, gram_of(rows), KEEP, damping=1e-9)
    torch.testing.assert_close(fitted.double(), expected, atol=2e-3, rtol=1e-3)


def test_the_bias_is_fitted_too(rows: torch.Tensor, weight: torch.Tensor) -> None:
    bias = torch.linspace(-3, 3, ROWS)
    wanted = (rows @ weight.T + bias).double()
    ones = torch.cat([rows[:, KEEP], torch.ones(TOKENS, 1)], dim=1).double()
    expected = torch.linalg.lstsq(ones, wanted).solution.T
    fitted, fitted_bias = refit_with_bias(weight, bias, gram_of(rows), rows.sum(dim=0), TOKENS, KEEP, damping=1e-9)
    torch.testing.assert_close(
        torch.cat([fitted, fitted_bias[:, None]], dim=1).double(), expected, atol=5e-3, rtol=5e-3
    )


def test_it_is_worth_more_than_half_of_the_error(rows: torch.Tensor, weight: torch.Tensor) -> None:
    def error(matrix: torch.Tensor) -> float:
        return float((rows[:, KEEP] @ matrix.T - rows @ weight.T).square().mean())

    assert error(refit(weight, gram_of(rows), KEEP)) < 0.5 * error(weight[:, KEEP])
    # The control: with the Gram matrix of inputs that are not correlated nothing is gained.
    without = torch.diag(gram_of(rows).diagonal())
    assert error(refit(weight, without, KEEP)) > 0.9 * error(weight[:, KEEP])


def test_keeping_every_column_changes_nothing(rows: torch.Tensor, weight: torch.Tensor) -> None:
    fitted = refit(weight, gram_of(rows), torch.arange(COLUMNS))
    torch.testing.assert_close(fitted, weight)


def test_fewer_tokens_than_columns_have_a_solution(rows: torch.Tensor, weight: torch.Tensor) -> None:
    assert bool(torch.isfinite(refit(weight, gram_of(rows[:3]), KEEP)).all())


def test_inputs_that_are_no_numbers_are_said(rows: torch.Tensor, weight: torch.Tensor) -> None:
    rows[7, 4] = float("nan")
    with pytest.raises(PruneError, match="no numbers"):
        refit(weight, gram_of(rows), KEEP)
