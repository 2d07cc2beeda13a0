"""Histogram and moments of known weights."""

from __future__ import annotations

import numpy as np
import pytest

from app.inspect.inspection import histogram_of
from app.inspect.messages import Histogram
from tests.app.inspect.models import normal


def whole(found: Histogram) -> int:
    return sum(found.counts) + found.below + found.above


def test_a_bell_has_the_moments_of_a_bell() -> None:
    found = histogram_of(normal(512, 512))
    assert found.mean == pytest.approx(0, abs=1e-4)
    assert found.deviation == pytest.approx(0.02, rel=0.01)
    assert found.excess_kurtosis == pytest.approx(0, abs=0.05)
    assert whole(found) == 512 * 512
    assert found.counts.index(max(found.counts)) == pytest.approx(60, abs=5)


def test_what_lies_far_out_is_counted_and_does_not_flatten_the_rest() -> None:
    weights = normal(64, 512)
    weights[0, 0], weights[1, 1], weights[2, 2] = 3.0, 2.0, -3.0
    found = histogram_of(weights)
    assert (found.below, found.above) == (1, 2)
    assert found.largest == 3.0
    assert found.high < 1.0
    assert found.excess_kurtosis > 100
    assert whole(found) == weights.size


def test_values_that_are_no_numbers_are_counted_apart() -> None:
    weights = normal(4, 64)
    weights[0, 0], weights[0, 1] = np.nan, np.inf
    found = histogram_of(weights)
    assert found.not_finite == 2
    assert found.read == whole(found) == 254
    assert np.isfinite(found.deviation)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_constant_tensor(value: float) -> None:
    found = histogram_of(np.full((4, 64), value, np.float32))
    assert whole(found) == 256
    assert found.deviation == 0
    assert found.excess_kurtosis == 0
    assert found.zeros == (256 if value == 0 else 0)


def test_nothing_but_no_numbers() -> None:
    assert histogram_of(np.full((2, 32), np.nan, np.float32)).not_finite == 64
