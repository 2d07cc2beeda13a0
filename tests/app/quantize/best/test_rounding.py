"""Rounding that makes up for its own errors, against GPTQ written down as in its paper, and against plain rounding."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

from app.errors import Cancelled
from app.quantize.best import rounding
from app.quantize.best.rounding import FORMATS, Feedback, Grid, rounded

ROWS, COLUMNS = 48, 320
TOKENS = 1_000_000
"""So many that nothing is added for want of them."""


def never() -> bool:
    return False


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(ROWS, COLUMNS)).astype(np.float32)


@pytest.fixture
def grid(weights: np.ndarray) -> Grid:
    return FORMATS[Type.Q4_0].grid(quantize(weights, Type.Q4_0))


@pytest.fixture
def gram() -> np.ndarray:
    """Of inputs whose columns go together, as those of a model do."""
    random = np.random.default_rng(2)
    inputs = random.normal(size=(2000, 40)) @ random.normal(size=(40, COLUMNS)) + random.normal(size=(2000, COLUMNS))
    return (inputs.T @ inputs).astype(np.float32)


def nearest(weights: np.ndarray, grid: Grid) -> np.ndarray:
    step, offset = (np.repeat(part, grid.shared, axis=1) for part in (grid.step, grid.offset))
    return np.clip(np.rint((weights - offset) / step), 0, grid.top).astype(np.uint8)


def output_error(weights: np.ndarray, rounded_weights: np.ndarray, gram: np.ndarray) -> float:
    """tr((W' - W) H (W' - W)^T): the squared error of the outputs, in the scale of `gram`."""
    difference = rounded_weights - weights
    return float(np.einsum("ij,ij->", difference @ gram, difference))


def gptq(weights: np.ndarray, gram: np.ndarray, grid: Grid, order: np.ndarray) -> np.ndarray:
    """Algorithm 1 of arXiv 2210.17323, a column at a time, in f64."""
    hessian = gram.astype(np.float64)[np.ix_(order, order)]
    hessian += np.eye(len(order)) * rounding._DAMPING * hessian.diagonal().mean()
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    left, codes = weights.astype(np.float64)[:, order], np.empty(weights.shape, np.uint8)
    for column in range(len(order)):
        stretch = order[column] // grid.shared
        step, offset = grid.step[:, stretch], grid.offset[:, stretch]
        code = np.clip(np.rint((left[:, column] - offset) / step), 0, grid.top)
        error = (left[:, column] - (step * code + offset)) / upper[column, column]
        left[:, column:] -= np.outer(error, upper[column, column:])
        codes[:, order[column]] = code
    return codes


def test_it_makes_the_choices_of_gptq(weights: np.ndarray, gram: np.ndarray, grid: Grid) -> None:
    feedback = Feedback(gram, TOKENS)
    ours = rounded(weights, feedback, grid, never)
    # Here and there a value lies in the middle of two codes, and everything after it in the row is another choice.
    theirs = gptq(weights, gram, grid, feedback.order)
    assert (ours == theirs).mean() > 0.99
    assert (ours == nearest(weights, grid)).mean() < 0.9


def test_the_outputs_are_nearer(weights: np.ndarray, gram: np.ndarray, grid: Grid) -> None:
    plain = output_error(weights, grid.values(nearest(weights, grid)), gram)
    ours = output_error(weights, grid.values(rounded(weights, Feedback(gram, TOKENS), grid, never)), gram)
    assert ours < 0.2 * plain


def test_few_tokens_are_not_taken_at_their_word(weights: np.ndarray, grid: Grid) -> None:
    random = np.random.default_rng(4)
    mix = random.normal(size=(40, COLUMNS))

    def gram_of(tokens: int) -> np.ndarray:
        inputs = random.normal(size=(tokens, 40)) @ mix + 3 * random.normal(size=(tokens, COLUMNS))
        return (inputs.T @ inputs / tokens).astype(np.float32)

    few, true = gram_of(COLUMNS // 2), gram_of(20_000)
    careful = rounded(weights, Feedback(few, COLUMNS // 2), grid, never)
    trusting = rounded(weights, Feedback(few, TOKENS), grid, never)
    careful_error, trusting_error = (output_error(weights, grid.values(codes), true) for codes in (careful, trusting))
    assert careful_error < 0.9 * trusting_error


def test_independent_inputs_leave_the_nearest_value(weights: np.ndarray, grid: Grid) -> None:
    codes = rounded(weights, Feedback(np.eye(COLUMNS, dtype=np.float32), TOKENS), grid, never)
    np.testing.assert_array_equal(codes, nearest(weights, grid))


def test_columns_without_input_or_scale(weights: np.ndarray, gram: np.ndarray) -> None:
    weights[:, 32:64] = 0
    gram[:, 5] = gram[5, :] = 0
    data = quantize(weights, Type.Q4_0)
    codes = rounded(weights, Feedback(gram, TOKENS), FORMATS[Type.Q4_0].grid(data), never)
    values = dequantize(FORMATS[Type.Q4_0].with_codes(data, codes), Type.Q4_0)
    assert np.isfinite(values).all()
    assert not values[:, 32:64].any()


def test_stop(weights: np.ndarray, gram: np.ndarray, grid: Grid) -> None:
    with pytest.raises(Cancelled):
        rounded(weights, Feedback(gram, TOKENS), grid, lambda: True)
