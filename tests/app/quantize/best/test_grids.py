"""The block formats against the dequantizers of the gguf package, for random scales and random codes."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

from app.quantize.best.rounding import FORMATS, Format

ROWS, COLUMNS = 6, 512
_SCALES = {Type.Q4_1: 4, Type.Q5_1: 4, Type.Q4_K: 4, Type.Q5_K: 4}
"""Bytes of f16 scales at the start of a block, where they are not two."""


def some_matrix(kind: Type, random: np.random.Generator) -> np.ndarray:
    """Rows of blocks with arbitrary codes and scales that are numbers."""
    form = FORMATS[kind]
    blocks = random.integers(0, 256, (ROWS * COLUMNS // form.elements, form.bytes), dtype=np.uint8)
    size = _SCALES.get(kind, 2)
    halves = random.normal(size=(len(blocks), size // 2)).astype(np.float16).view(np.uint8)
    blocks[:, -2:] = halves if kind is Type.Q6_K else blocks[:, -2:]
    if kind is not Type.Q6_K:
        blocks[:, :size] = halves
    return blocks.reshape(ROWS, -1)


@pytest.fixture(params=FORMATS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Type:
    return request.param


@pytest.fixture
def form(kind: Type) -> Format:
    return FORMATS[kind]


def test_codes_that_are_written_are_read_as_the_grid_says(kind: Type, form: Format) -> None:
    random = np.random.default_rng(1)
    data = some_matrix(kind, random)
    codes = random.integers(0, form.top + 1, (ROWS, COLUMNS), dtype=np.uint8)
    written = form.with_codes(data, codes)
    np.testing.assert_array_equal(dequantize(written, kind), form.grid(data).values(codes))
    other = form.with_codes(data, np.roll(codes, 1, axis=1))
    assert not np.array_equal(dequantize(other, kind), form.grid(data).values(codes))


def test_the_scales_stay(kind: Type, form: Format) -> None:
    random = np.random.default_rng(2)
    data = some_matrix(kind, random)
    before = data.copy()
    grid = form.grid(form.with_codes(data, np.zeros((ROWS, COLUMNS), np.uint8)))
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(grid.step, form.grid(data).step)
    np.testing.assert_array_equal(grid.offset, form.grid(data).offset)


def test_sizes_are_those_of_ggml(kind: Type, form: Format) -> None:
    assert (form.elements, form.bytes) == gguf.GGML_QUANT_SIZES[kind]
