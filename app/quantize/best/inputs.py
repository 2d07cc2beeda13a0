"""What the matrices of a model are given while it reads a text: sizes of their columns, samples, Gram matrices."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.engine.activations import Activation

Matrix = NDArray[np.float32]

_SAMPLES_A_WINDOW = 8
"""Rows kept of each window of the text: a few hundred in all tell how a rounding error of the weights comes out."""


@dataclass(slots=True)
class Columns:
    """What is known of the columns of one input: sums over all tokens, and some tokens as they were."""

    absolute: NDArray[np.float64]
    squares: NDArray[np.float64]
    tokens: int = 0
    kept: list[NDArray[np.float16]] = field(default_factory=list)

    @property
    def mean_absolute(self) -> Matrix:
        """`[column]`: the mean of |x|."""
        return (self.absolute / max(self.tokens, 1)).astype(np.float32)

    @property
    def mean_square(self) -> Matrix:
        """`[column]`: the importance, as llama-imatrix has it."""
        return (self.squares / max(self.tokens, 1)).astype(np.float32)

    @property
    def samples(self) -> Matrix:
        """`[token, column]`."""
        return np.concatenate(self.kept).astype(np.float32)


class ColumnStatistics:
    """The column sums of every input. Matrices that read the same rows share one entry. Call it with every
    activation.
    """

    def __init__(self) -> None:
        self.of: dict[str, Columns] = {}
        self._last: tuple[int, Columns] | None = None

    def __call__(self, activation: Activation) -> None:
        """Add one."""
        if activation.matrices > 1:
            return  # experts: their matrices are stacked, and keep the rounding that llama.cpp gives them
        if self._last and self._last[0] == activation.input:
            self.of.setdefault(activation.weight, self._last[1])
            return
        rows = _rows(activation)
        columns = self.of.get(activation.weight)
        if columns is None:
            columns = Columns(np.zeros(rows.shape[1]), np.zeros(rows.shape[1]))
            self.of[activation.weight] = columns
        columns.absolute += np.abs(rows).sum(axis=0)
        columns.squares += np.square(rows).sum(axis=0)
        columns.tokens += len(rows)
        step = max(1, len(rows) // _SAMPLES_A_WINDOW)
        # Not the first token: attention gathers there, and its size is that of no other.
        columns.kept.append(rows[step - 1 :: step].astype(np.float16))
        self._last = (activation.input, columns)


@dataclass(slots=True)
class Gram:
    """The sum of x x^T over so many tokens, `[column, column]` in f32."""

    matrix: Matrix
    tokens: int = 0


class Grams:
    """The Gram matrix of every input. Matrices that read the same rows share one. Call it with every activation."""

    def __init__(self) -> None:
        self.of: dict[str, Gram] = {}
        self._last: tuple[int, Gram] | None = None

    def __call__(self, activation: Activation) -> None:
        """Add one."""
        if activation.matrices > 1:
            return
        if self._last and self._last[0] == activation.input:
            self.of.setdefault(activation.weight, self._last[1])
            return
        rows = _rows(activation)
        gram = self.of.get(activation.weight)
        if gram is None:
            gram = self.of[activation.weight] = Gram(np.zeros((rows.shape[1], rows.shape[1]), np.float32))
        gram.matrix += rows.T @ rows
        gram.tokens += len(rows)
        self._last = (activation.input, gram)


def _rows(activation: Activation) -> Matrix:
    """`[token, column]`, a copy that BLAS can take."""
    return np.ascontiguousarray(activation.rows.reshape(-1, activation.rows.shape[-1]))
