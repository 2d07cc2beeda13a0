"""Min-max quantization: every weight becomes the nearest of evenly spaced values between the smallest and the largest.

The oldest scheme there is, asymmetric (a scale and a minimum), as in Jacob et al. 2018, arXiv 1712.05877. What differs
is how many weights share a scale: all of a tensor, a row, or a block of neighbours in a row.
"""

from __future__ import annotations

import numpy as np

from app.inspect.tensors import Rows


def min_max(weights: Rows, bits: int) -> Rows:
    """`weights` `[group, weight]` rounded to 2^bits values a group; scale and minimum in f32."""
    low = weights.min(axis=1, keepdims=True)
    step = (weights.max(axis=1, keepdims=True) - low) / np.float32(2**bits - 1)
    safe = np.where(step > 0, step, np.float32(1))
    return np.asarray(low + np.rint((weights - low) / safe) * safe, np.float32)


def per_tensor(weights: Rows, bits: int) -> Rows:
    """One scale for all."""
    return min_max(weights.reshape(1, -1), bits).reshape(weights.shape)


def per_row(weights: Rows, bits: int) -> Rows:
    """A scale a row (an output channel)."""
    return min_max(weights, bits)


def per_block(weights: Rows, bits: int, block: int) -> Rows:
    """A scale for each `block` neighbours of a row; the columns are a multiple of it."""
    return min_max(weights.reshape(-1, block), bits).reshape(weights.shape)
