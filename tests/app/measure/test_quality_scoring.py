import math

import numpy as np
import pytest

from app.errors import AppError
from app.measure import scoring

RNG = np.random.default_rng(7)
REFERENCE = (RNG.normal(size=(20, 3000)) * 3).astype(np.float32)
OURS = (REFERENCE + RNG.normal(size=REFERENCE.shape) * 0.05).astype(np.float32)
TARGETS = RNG.integers(0, 3000, 20)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def true_divergence() -> np.ndarray:
    p, q = log_softmax(REFERENCE), log_softmax(OURS)
    return (np.exp(p) * (p - q)).sum(axis=1)


def test_surprise_and_tops():
    surprise, tops = scoring.score(OURS, TARGETS)
    assert surprise == pytest.approx(-log_softmax(OURS)[np.arange(20), TARGETS], rel=1e-6)
    assert (tops == OURS.argmax(axis=1)).all()


def test_divergence_is_the_formula():
    assert scoring.divergence(REFERENCE, OURS) == pytest.approx(true_divergence(), rel=1e-3)
    assert (scoring.divergence(OURS, OURS) == 0).all()


@pytest.mark.parametrize("offset", [-1000.0, 1000.0])
def test_logits_are_equal_up_to_a_constant(offset):
    moved = OURS + np.float32(offset)
    assert scoring.score(moved, TARGETS)[0] == pytest.approx(scoring.score(OURS, TARGETS)[0], abs=2e-3)
    assert scoring.divergence(REFERENCE, moved) == pytest.approx(true_divergence(), abs=2e-4)


def test_a_divergence_of_a_millionth_is_not_lost_in_rounding():
    near = (REFERENCE + RNG.normal(size=REFERENCE.shape) * 0.0015).astype(np.float32)
    p, q = log_softmax(REFERENCE), log_softmax(near)
    true = (np.exp(p) * (p - q)).sum(axis=1)
    assert true.mean() < 3e-6
    assert scoring.divergence(REFERENCE, near).mean() == pytest.approx(true.mean(), rel=0.1)


@pytest.mark.parametrize("count", [1, 30, 1000, 2999])
def test_kept_tokens_give_less_and_all_of_them_the_whole(count):
    partly = scoring.divergence_from_kept(scoring.keep(REFERENCE, count), OURS)
    assert (partly <= true_divergence() * 1.001 + 1e-7).all()
    assert (partly >= -1e-6).all()
    whole = scoring.divergence_from_kept(scoring.keep(REFERENCE, 3000), OURS)
    assert whole == pytest.approx(true_divergence(), rel=1e-3)


def test_what_is_no_number_is_said():
    broken = OURS.copy()
    broken[3, 5] = np.nan
    for work in (lambda: scoring.score(broken, TARGETS), lambda: scoring.divergence(REFERENCE, broken)):
        with pytest.raises(AppError, match="no numbers"):
            work()


def test_the_error_of_a_mean():
    few = [RNG.normal(size=100) for _ in range(4)]
    everything = np.concatenate(few)
    assert scoring.mean(few).value == pytest.approx(everything.mean())
    assert scoring.mean(few).error == pytest.approx(everything.std() / math.sqrt(399))


def test_windows_that_differ_as_a_whole_make_the_error_larger():
    """100 positions that are all the same say no more than one."""
    offsets = RNG.normal(size=50)
    windows = [np.full(100, offset) for offset in offsets]
    assert scoring.mean(windows).error == pytest.approx(offsets.std() / 7, rel=0.01)
    assert scoring.mean([np.ones(100)] * 50).error == 0


def test_percentile_and_agreement():
    assert scoring.percentile([np.arange(50.0), np.arange(50.0, 101.0)], 0.99) == pytest.approx(99.0)
    agreement = scoring.agreement([np.array([1, 2, 3, 4])], [np.array([1, 2, 3, 9])])
    assert agreement.value == 0.75
    assert agreement.error == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert scoring.exponential(scoring.Estimate(2.0, 0.1)).error == pytest.approx(math.exp(2) * 0.1)
