"""The arithmetic of quality: from logits to surprise, divergence and agreement, a row for each scored position.

Logits come in f32, (rows, vocabulary). Sums over a vocabulary and over positions are f64: the terms of a divergence
have both signs and are up to a thousand times larger than it is. Rows are worked on in blocks that stay in the
processor's cache. All values are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.errors import AppError
from app.measure.messages import Estimate

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_BLOCK_ELEMENTS = 1 << 18
"""1 MB of f32 for each of the three arrays at work."""
_NO_MASS = 1e-7
"""Probability below which the rest of a row is rounding error."""


@dataclass(slots=True)
class Scores:
    """A value for each scored position, in the order they were read; an array a slice. `tops` are token ids."""

    surprise: list[F64] = field(default_factory=list)
    """-ln of the probability of the token that came."""
    tops: list[Ids] = field(default_factory=list)
    divergence: list[F64] = field(default_factory=list)
    """Kullback-Leibler divergence from the reference's distribution; empty without one."""

    def add(self, surprise: F64, tops: Ids, divergence: F64 | None = None) -> None:
        """Append a slice."""
        self.surprise.append(surprise)
        self.tops.append(tops)
        if divergence is not None:
            self.divergence.append(divergence)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The reference's distribution of some rows, kept while the other model is loaded: its likeliest tokens.

    `ids` and `log_probabilities` are (rows, kept); `rest` is the probability of all other tokens together, (rows,).
    """

    ids: npt.NDArray[np.int32]
    log_probabilities: F32
    rest: F64


def score(logits: F32, targets: Ids) -> tuple[F64, Ids]:
    """Surprise at `targets` (rows,) and the likeliest token of each row. Raises AppError where logits are NaN."""
    surprise, tops = np.empty(len(logits)), np.empty(len(logits), np.int64)
    for rows in _blocks(logits):
        _, log_sum = _exponentials(logits[rows])
        surprise[rows] = log_sum - _at(logits[rows], targets[rows])
        tops[rows] = logits[rows].argmax(axis=1)
    return _finite(surprise), tops


def divergence(reference: F32, logits: F32) -> F64:
    """Kullback-Leibler divergence of `logits`' distribution from `reference`'s, for each row."""
    result = np.empty(len(logits))
    for rows in _blocks(logits):
        p, reference_log_sum = _exponentials(reference[rows])
        _, log_sum = _exponentials(logits[rows])
        difference = reference[rows] - reference_log_sum.astype(np.float32)[:, None]
        difference -= logits[rows] - log_sum.astype(np.float32)[:, None]
        mass = p.sum(axis=1, dtype=np.float64)
        p *= difference
        result[rows] = p.sum(axis=1, dtype=np.float64) / mass
    return _finite(result)


def keep(logits: F32, count: int) -> KeptRows:
    """The `count` likeliest tokens of each row, all where `count` is the whole vocabulary."""
    count = min(count, logits.shape[1])
    ids = np.empty((len(logits), count), np.int32)
    kept = np.empty((len(logits), count), np.float32)
    rest = np.empty(len(logits))
    for rows in _blocks(logits):
        block = logits[rows]
        _, log_sum = _exponentials(block)
        chosen = np.argpartition(block, block.shape[1] - count, axis=1)[:, block.shape[1] - count :]
        ids[rows] = chosen
        kept[rows] = np.take_along_axis(block, chosen, axis=1) - log_sum[:, None]
        rest[rows] = 1.0 - np.exp(kept[rows], dtype=np.float64).sum(axis=1)
    if count == logits.shape[1]:
        rest[:] = 0.0
    return KeptRows(ids, kept, rest)


def divergence_from_kept(reference: KeptRows, logits: F32) -> F64:
    """The same as `divergence`; the tokens that were not kept count as one, so that it is never more than the true
    value.

    That is the data processing inequality: what is put together can only be told apart less well.
    """
    result = np.empty(len(logits))
    for rows in _blocks(logits):
        _, log_sum = _exponentials(logits[rows])
        q = np.take_along_axis(logits[rows], reference.ids[rows].astype(np.int64), axis=1) - log_sum[:, None]
        log_p = reference.log_probabilities[rows].astype(np.float64)
        result[rows] = (np.exp(log_p) * (log_p - q)).sum(axis=1)
        p_rest = reference.rest[rows]
        q_rest = np.maximum(1.0 - np.exp(q).sum(axis=1), _NO_MASS)
        has_rest = p_rest > _NO_MASS
        result[rows] += np.where(has_rest, p_rest * np.log(np.maximum(p_rest, _NO_MASS) / q_rest), 0.0)
    return _finite(result)


def mean(values: list[F64]) -> Estimate:
    """The mean over all positions of slices, and its standard error.

    The error is that of independent positions (as llama-perplexity states it), or the one from the spread between
    windows where that is larger: the positions of a window share their subject. `values` has an array a window.
    """
    all_values = np.concatenate(values)
    count = len(all_values)
    value = float(all_values.mean())
    if count < 2:
        return Estimate(value, math.inf)
    error = float(all_values.std()) / math.sqrt(count - 1)
    if (windows := len(values)) >= _ENOUGH_WINDOWS:
        excess = np.array([float((window - value).sum()) for window in values])
        error = max(error, math.sqrt(windows / (windows - 1) * float((excess**2).sum())) / count)
    return Estimate(value, error)


_ENOUGH_WINDOWS = 8
"""The least number of windows: with fewer, the spread between windows is itself guessed too badly."""


def exponential(estimate: Estimate) -> Estimate:
    """Perplexity from the mean surprise, its error to first order."""
    value = math.exp(min(estimate.value, 700.0))
    return Estimate(value, value * estimate.error)


def percentile(values: list[F64], share: float) -> float:
    """The value that `share` (0 to 1) of all positions do not exceed, interpolated as llama-perplexity does."""
    return float(np.quantile(np.concatenate(values), share))


def agreement(ours: list[Ids], reference: list[Ids]) -> Estimate:
    """Share of the positions with the same likeliest token, and its standard error."""
    return mean([(a == b).astype(np.float64) for a, b in zip(ours, reference, strict=True)])


def _blocks(logits: F32) -> Iterator[slice]:
    rows = max(1, _BLOCK_ELEMENTS // logits.shape[1])
    return (slice(start, start + rows) for start in range(0, len(logits), rows))


def _exponentials(logits: F32) -> tuple[F32, F64]:
    """exp(logits - their maximum), (rows, vocabulary), and ln of the sum of exp(logits), (rows,)."""
    largest = logits.max(axis=1)
    exponentials = np.subtract(logits, largest[:, None])
    np.exp(exponentials, out=exponentials)
    return exponentials, largest + np.log(exponentials.sum(axis=1, dtype=np.float64))


def _at(logits: F32, targets: Ids) -> F64:
    picked: F64 = np.take_along_axis(logits, targets[:, None], axis=1)[:, 0].astype(np.float64)
    return picked


def _finite(values: F64) -> F64:
    if not np.isfinite(values).all():
        raise AppError(
            "The model computes values that are no numbers: its file is damaged, or its type too coarse for it.",
            "Check the file with “Verify”, or make it again from its source.",
        )
    return values
