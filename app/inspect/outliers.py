"""Input channels that stand out, the idea of LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339).

There, columns whose activations reach 6 where the others are about 1 stay in 16 bits. GGUF stores a whole tensor in one
type, so nothing can be kept back column by column; but a tensor with such channels is worth a better type, or AWQ's
folding. Seen by the weights alone, and by the inputs where their sums of squares (an importance matrix) are at hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.inspect.messages import Channel, ChannelPicture
from app.inspect.tensors import Rows

INPUT_TIMES = 6.0
"""LLM.int8()'s threshold, over the median channel instead of over 1."""
WEIGHT_TIMES = 3.0
"""The norm of a column is a mean over its rows and varies less: by a few per cent in a tensor without outliers."""
BARS = 256
_NAMED = 24


def by_weights(weights: Rows) -> ChannelPicture:
    """From the norms of the columns of `[row, column]`."""
    return _picture("weights", np.sqrt(np.square(weights, dtype=np.float64).mean(axis=0)), WEIGHT_TIMES)


def by_inputs(squares: NDArray[np.floating]) -> ChannelPicture:
    """From the mean square of each input `[channel]`, or of each expert's `[expert, channel]`."""
    means = np.atleast_2d(squares).astype(np.float64).mean(axis=0)
    return _picture("inputs", np.sqrt(means), INPUT_TIMES)


def _picture(measure: str, strengths: NDArray[np.float64], threshold: float) -> ChannelPicture:
    typical = float(np.median(strengths)) or float(strengths.mean()) or 1.0
    times = strengths / typical
    found = np.flatnonzero(times >= threshold)
    strongest = found[np.argsort(-times[found], kind="stable")][:_NAMED]
    bars = [float(part.max()) for part in np.array_split(times, min(BARS, len(times)))]
    outliers = tuple(Channel(int(number), float(times[number])) for number in strongest)
    return ChannelPicture(measure, len(times), threshold, tuple(bars), outliers, len(found))
