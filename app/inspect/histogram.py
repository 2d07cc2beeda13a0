"""How the weights of a tensor lie: a histogram over a range symmetric to zero, and the usual moments."""

from __future__ import annotations

import numpy as np

from app.inspect.messages import Histogram
from app.inspect.tensors import Rows

BARS = 121
"""Odd, so that zero is the middle of a bar."""
_DEVIATIONS = 5.0
"""Of a normal distribution 1 in 1.7 million lies further out: what does is worth a mark of its own."""


def histogram_of(weights: Rows, bars: int = BARS) -> Histogram:
    """Of all values; moments in f64. The range is 5 standard deviations each way, or less where nothing lies there."""
    finite = np.isfinite(weights)
    values = weights[finite].astype(np.float64)
    if not values.size:
        return Histogram(-1.0, 1.0, (0,) * bars, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, int(weights.size))
    mean, deviation = float(values.mean()), float(values.std())
    largest = float(np.abs(values).max())
    high = min(largest, abs(mean) + _DEVIATIONS * deviation) * (1 + 1e-6) or 1.0
    counts, _ = np.histogram(values, bars, (-high, high))
    return Histogram(
        low=-high,
        high=high,
        counts=tuple(map(int, counts)),
        below=int((values < -high).sum()),
        above=int((values > high).sum()),
        read=int(values.size),
        mean=mean,
        deviation=deviation,
        largest=largest,
        excess_kurtosis=_excess_kurtosis(values - mean, deviation),
        zeros=int((values == 0).sum()),
        not_finite=int(weights.size - values.size),
    )


def _excess_kurtosis(centred: np.ndarray[tuple[int], np.dtype[np.float64]], deviation: float) -> float:
    """The fourth moment over the square of the second, less the 3 of a normal distribution; 0 for a constant."""
    if deviation <= 1e-12 * max(1.0, float(np.abs(centred).max(initial=0.0))):
        return 0.0
    return float(((centred / deviation) ** 4).mean()) - 3.0
