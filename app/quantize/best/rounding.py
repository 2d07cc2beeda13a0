"""GPTQ: each column is rounded for what the columns before it got wrong, as the inputs of the matrix weigh it.

What counts is not how far a weight moves but how far the outputs do: tr((W' - W) H (W' - W)^T), H being the Gram matrix
of the inputs. Method: Frantar et al., "GPTQ" (arXiv 2210.17323), in the form of Chee et al., "QuIP" (arXiv 2307.13304),
where Theorem 6 shows that adaptive rounding with linear feedback (LDLQ) makes the same choices with one Cholesky
factorisation and no inverse. The grid is given: the scales of a finished file ("static groups").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from app.errors import Cancelled
from app.operation import ShouldStop

Matrix = NDArray[np.float32]

_DAMPING = 0.01
"""A share of the mean of the diagonal, added to it, at least, as in the paper."""
MATRICES = 3
"""The number of matrices of the size of a Gram matrix that are in memory at once while one is factorised, itself
included.
"""
_SHRINKAGE = 1.0
"""A share of the same, for each column a token: what few tokens say about how columns go together is mostly chance
(Ledoit and
Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004, has the same proportion). Measured
with 2,000 tokens on the 21M model in Q4_K_M: KL divergence on two texts less by a quarter; with 15,000 the same."""
_BLOCK = 128
"""Columns whose feedback is added one by one; that of all before them comes as one product."""


class Feedback:
    """How much of the error of one column each later one takes over, for inputs with a given Gram matrix.

    `matrix` is unit upper triangular in the order in which the columns are rounded: those with the largest inputs
    first, while there are columns left to make up for them.
    """

    def __init__(self, gram: Matrix, tokens: int) -> None:
        """`gram` is `[column, column]`, symmetric, of so many tokens; its scale does not matter."""
        diagonal = np.diagonal(gram)
        self.order = np.argsort(-diagonal, kind="stable")
        share = max(_DAMPING, _SHRINKAGE * len(gram) / max(tokens, 1))
        damping = np.float32(share * max(float(diagonal.mean()), 1e-20))
        # H = U D U^T with U upper triangular is the Cholesky factorisation of H with both axes turned round.
        turned = gram[np.ix_(self.order[::-1], self.order[::-1])]
        turned[np.diag_indices_from(turned)] += damping
        lower = np.linalg.cholesky(turned)
        del turned  # three matrices of this size at once are enough: MATRICES counts them
        lower /= np.diagonal(lower).copy()
        self.matrix: Matrix = np.ascontiguousarray(lower[::-1, ::-1])


def rounded(weights: Matrix, feedback: Feedback, grid: Grid, stop: ShouldStop) -> Codes:
    """Codes `[row, column]` for the weights on the grid. Raises Cancelled."""
    order = feedback.order
    # Transposed: a column of the matrix is then a stretch of memory.
    target = np.ascontiguousarray(weights.T[order])
    error = np.empty_like(target)
    codes = np.empty(target.shape, np.uint8)
    step, offset = grid.step.T, grid.offset.T
    for start in range(0, len(target), _BLOCK):
        if stop():
            raise Cancelled
        end = min(start + _BLOCK, len(target))
        wanted = target[start:end] + feedback.matrix[:start, start:end].T @ error[:start]
        for row in range(start, end):
            here = wanted[row - start] + feedback.matrix[start:row, row] @ error[start:row]
            stretch = order[row] // grid.shared
            width, base = step[stretch], offset[stretch]
            with np.errstate(divide="ignore", invalid="ignore"):
                code = np.where(width == 0, 0, np.rint((here - base) / width))
            code = np.clip(code, 0, grid.top)
            error[row] = target[row] - (width * code + base)
            codes[row] = code
    result = np.empty_like(codes)
    result[order] = codes
    return np.ascontiguousarray(result.T)


# ggml's block formats as grids: the values a weight may take, and how a choice among them is written back.
#
# In each of these formats a weight is `step * code + offset` with a small whole number as its code; step and offset are
# shared by a stretch of columns of one row. Only the codes are ever changed here: the scales stay llama.cpp's.
# Source of the layouts: ggml/src/ggml-common.h and the `dequantize_row_*` functions of ggml/src/ggml-quants.c.


Bytes = NDArray[np.uint8]
Codes = NDArray[np.uint8]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grid:
    """The choices for a matrix of `[row, column]`. `step` and `offset` are `[row, column // shared]`."""

    step: Values
    offset: Values
    shared: int
    """Columns that have the same step and offset."""
    top: int
    """The largest code."""

    def values(self, codes: Codes) -> Values:
        """The weights that these codes stand for."""
        step, offset = (np.repeat(part, self.shared, axis=1) for part in (self.step, self.offset))
        return np.asarray(step * codes + offset, np.float32)


@dataclass(frozen=True, slots=True)
class Format:
    """A block format. `read` turns blocks `[n, bytes]` into step and offset, `write` puts codes `[n, elements]` in."""

    elements: int
    bytes: int
    shared: int
    top: int
    read: Callable[[Bytes], tuple[Values, Values]]
    write: Callable[[Bytes, Codes], None]

    def grid(self, data: Bytes) -> Grid:
        """The grid of a matrix, `data` being its rows of bytes."""
        step, offset = self.read(self._blocks(data))
        rows = data.shape[0]
        return Grid(step.reshape(rows, -1), offset.reshape(rows, -1), self.shared, self.top)

    def with_codes(self, data: Bytes, codes: Codes) -> Bytes:
        """The rows of bytes with these codes in place of theirs."""
        blocks = self._blocks(data).copy()
        self.write(blocks, codes.reshape(len(blocks), self.elements))
        return blocks.reshape(data.shape)

    def _blocks(self, data: Bytes) -> Bytes:
        return np.ascontiguousarray(data).reshape(-1, self.bytes)


def _half(data: Bytes) -> Values:
    """Two bytes as a float16, in f32: `[n, 1]`."""
    return np.ascontiguousarray(data).view(np.float16).astype(np.float32)


def _nibbles(codes: Codes, half: int) -> Bytes:
    """The bytes of neighbouring stretches of `half` codes, the first in the low and the second in the high nibble."""
    pairs = codes.reshape(len(codes), -1, 2, half)
    low, high = pairs[:, :, 0] & 15, pairs[:, :, 1] & 15
    return np.asarray(low | (high << 4), np.uint8).reshape(len(codes), -1)


def _fifth_bits(codes: Codes) -> Bytes:
    """Bit 4 of 32 codes, as four bytes with the first code in the lowest bit."""
    return np.packbits(codes >> 4, axis=1, bitorder="little")


def _symmetric(centre: int) -> Callable[[Bytes], tuple[Values, Values]]:
    """Blocks that begin with a scale; the code `centre` is zero."""

    def read(blocks: Bytes) -> tuple[Values, Values]:
        step = _half(blocks[:, :2])
        return step, -centre * step

    return read


def _with_minimum(blocks: Bytes) -> tuple[Values, Values]:
    return _half(blocks[:, :2]), _half(blocks[:, 2:4])


def _k_scales(blocks: Bytes) -> tuple[Values, Values]:
    """Q4_K and Q5_K: eight scales and minima of 6 bits each in 12 bytes, times one f16 each (`get_scale_min_k4`)."""
    packed = blocks[:, 4:16]
    low, minima, mixed = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([low & 63, (mixed & 15) | ((low >> 6) << 4)], axis=1)
    minima = np.concatenate([minima & 63, (mixed >> 4) | ((minima >> 6) << 4)], axis=1)
    return _half(blocks[:, :2]) * scales, -_half(blocks[:, 2:4]) * minima


def _q6_scales(blocks: Bytes) -> tuple[Values, Values]:
    """Sixteen scales of one signed byte, times one f16 at the end of the block."""
    step = _half(blocks[:, 208:210]) * blocks[:, 192:208].view(np.int8)
    return step, -32 * step


def _write_q4(start: int, half: int) -> Callable[[Bytes, Codes], None]:
    def write(blocks: Bytes, codes: Codes) -> None:
        blocks[:, start:] = _nibbles(codes, half)

    return write


def _write_q5(start: int) -> Callable[[Bytes, Codes], None]:
    def write(blocks: Bytes, codes: Codes) -> None:
        blocks[:, start : start + 4] = _fifth_bits(codes)
        blocks[:, start + 4 :] = _nibbles(codes, 16)

    return write


def _write_q5_k(blocks: Bytes, codes: Codes) -> None:
    """Bit g of byte l holds the fifth bit of column l of the g-th stretch of 32."""
    high = (codes >> 4).reshape(len(codes), 8, 32)
    blocks[:, 16:48] = np.packbits(high, axis=1, bitorder="little").reshape(len(codes), 32)
    blocks[:, 48:] = _nibbles(codes, 32)


def _write_q6_k(blocks: Bytes, codes: Codes) -> None:
    """Write of each 128 columns four stretches a, b, c, d of 32: low nibbles of a and b, high ones of c and d; then the
    upper two bits of all four in one byte."""
    parts = codes.reshape(len(codes), 2, 4, 32)
    low = (parts[:, :, :2] & 15) | ((parts[:, :, 2:] & 15) << 4)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    high = np.bitwise_or.reduce((parts >> 4) << shifts, axis=2)
    blocks[:, :128] = low.reshape(len(codes), 128)
    blocks[:, 128:192] = high.reshape(len(codes), 64)


_T = GGMLQuantizationType
FORMATS = {
    _T.Q4_0: Format(32, 18, 32, 15, _symmetric(8), _write_q4(2, 16)),
    _T.Q4_1: Format(32, 20, 32, 15, _with_minimum, _write_q4(4, 16)),
    _T.Q5_0: Format(32, 22, 32, 31, _symmetric(16), _write_q5(2)),
    _T.Q5_1: Format(32, 24, 32, 31, _with_minimum, _write_q5(4)),
    _T.Q4_K: Format(256, 144, 32, 15, _k_scales, _write_q4(16, 32)),
    _T.Q5_K: Format(256, 176, 32, 31, _k_scales, _write_q5_k),
    _T.Q6_K: Format(256, 210, 16, 63, _q6_scales, _write_q6_k),
}
"""The formats that can be rounded again."""
