"""Quantization with a learned table of values: k-means over single weights, and over short vectors of them.

k-means: Lloyd 1982, "Least squares quantization in PCM", started as k-means++ (Arthur and Vassilvitskii 2007). Shared
weights: Han et al. 2016, "Deep Compression", arXiv 1510.00149. Product quantization: Jégou et al. 2011, TPAMI 33(1); of
weights: Gong et al. 2014, arXiv 1412.6115.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.inspect.sampling import SEED
from app.inspect.tensors import Rows

_TRAINING_VECTORS = 1 << 15
_ROUNDS = 15
_STRETCH = 1 << 14
"""Vectors compared at once with all centres: 16 MB of distances for 256 of them."""


def by_codebook(weights: Rows, dimensions: int, entries: int) -> Rows:
    """Each `dimensions` neighbouring weights of a row become the nearest of `entries` vectors learned from them.

    The columns are a multiple of `dimensions`. The table is trained on at most 32,768 of the vectors.
    """
    vectors = weights.reshape(-1, dimensions)
    centres = codebook(vectors, entries)
    return centres[nearest(vectors, centres)].reshape(weights.shape)


def codebook(vectors: Rows, entries: int) -> Rows:
    """Centres `[entry, dimension]` of k-means; the same for the same vectors."""
    random = np.random.default_rng(SEED)
    if len(vectors) > _TRAINING_VECTORS:
        vectors = vectors[random.choice(len(vectors), _TRAINING_VECTORS, replace=False)]
    centres = _first_centres(vectors, entries, random)
    for _ in range(_ROUNDS):
        centres, moved = _improved(vectors, centres)
        if not moved:
            break
    return centres


def nearest(vectors: Rows, centres: Rows) -> NDArray[np.int64]:
    """Number of the nearest centre of each vector."""
    if centres.shape[1] == 1:
        order = np.argsort(centres[:, 0])
        middles = (centres[order[1:], 0] + centres[order[:-1], 0]) / 2
        return order[np.searchsorted(middles, vectors[:, 0])]
    lengths = (centres**2).sum(axis=1) / 2
    stretches = (vectors[start : start + _STRETCH] for start in range(0, len(vectors), _STRETCH))
    return np.concatenate([np.argmax(part @ centres.T - lengths, axis=1) for part in stretches])


def _first_centres(vectors: Rows, entries: int, random: np.random.Generator) -> Rows:
    """k-means++: each next centre is drawn with a chance that grows with its squared distance from those there are."""
    centres = np.empty((entries, vectors.shape[1]), np.float32)
    distance = np.full(len(vectors), np.inf, np.float32)
    chosen = int(random.integers(len(vectors)))
    for number in range(entries):
        centres[number] = vectors[chosen]
        np.minimum(distance, ((vectors - centres[number]) ** 2).sum(axis=1), out=distance)
        sums = np.cumsum(distance, dtype=np.float64)
        chosen = int(np.searchsorted(sums, random.random() * sums[-1])) if sums[-1] > 0 else 0
        chosen = min(chosen, len(vectors) - 1)
    return centres


def _improved(vectors: Rows, centres: Rows) -> tuple[Rows, bool]:
    """Each centre in the middle of its vectors; one that has none stays where it is."""
    numbers = nearest(vectors, centres)
    counts = np.bincount(numbers, minlength=len(centres))
    sums = [np.bincount(numbers, column, len(centres)) for column in vectors.T.astype(np.float64)]
    middles = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]).astype(np.float32)
    new = np.where(counts[:, None] > 0, middles, centres)
    return new, not np.allclose(new, centres, rtol=1e-4, atol=0)
