"""k-means: finds centres that are there, never worse than where it began."""

from __future__ import annotations

import numpy as np
import pytest

from app.inspect.rounding_errors import by_codebook, codebook, nearest
from tests.app.inspect.models import normal


def test_planted_centres_are_found() -> None:
    random = np.random.default_rng(3)
    true = random.normal(0, 1, (8, 2)).astype(np.float32) * 10
    vectors = true[random.integers(8, size=4000)] + random.normal(0, 0.01, (4000, 2)).astype(np.float32)
    found = codebook(vectors, 8)
    distances = np.linalg.norm(true[:, None] - found[None], axis=2).min(axis=1)
    assert distances.max() < 0.05


@pytest.mark.parametrize("dimensions", [1, 2])
def test_each_vector_goes_to_the_nearest(dimensions: int) -> None:
    vectors, centres = normal(200, dimensions), normal(9, dimensions, seed=5)
    by_hand = np.linalg.norm(vectors[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest(vectors, centres) == by_hand).all()


def test_fewer_different_values_than_entries_are_kept_exactly() -> None:
    weights = np.array([[0.0, 1.0, 2.0, 1.0]], np.float32)
    assert (by_codebook(weights, 1, 16) == weights).all()


def test_more_entries_are_less_error() -> None:
    weights = normal(32, 128)
    errors = [float(np.square(weights - by_codebook(weights, 1, entries)).mean()) for entries in (4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
