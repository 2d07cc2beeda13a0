"""Which rows of a large tensor are looked at: a random choice with a fixed seed, the same at every look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 1
HISTOGRAM_WEIGHTS = 1 << 22
ERROR_WEIGHTS = 1 << 19
"""Some seconds of k-means and of ggml's slowest quantizer on one core."""


def sampled_rows(rows: int, columns: int, weights: int) -> NDArray[np.int64]:
    """Ascending numbers of about `weights / columns` rows, all of them where the tensor has no more weights."""
    count = max(1, min(rows, weights // max(1, columns)))
    if count >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))
