from __future__ import annotations

import pytest

from app.engine.curve import FitCurve, FitPoint
from app.engine.messages import KvType
from app.fit.judgement import MemoryBudget
from app.fit.verdict import Verdict, arithmetic, judge

F16 = KvType.F16
CURVE = FitCurve(
    4_000_000_000,
    32768,
    (FitPoint(1024, F16, 100_000_000, 50_000_000), FitPoint(2048, F16, 200_000_000, 54_000_000)),
    engine_bytes=80_000_000,
)


@pytest.mark.parametrize(
    ("context", "kv", "compute"),
    [
        (1024, 100_000_000, 50_000_000),
        (1536, 150_000_000, 52_000_000),
        (2048, 200_000_000, 54_000_000),
        (4096, 400_000_000, 62_000_000),
        (512, 50_000_000, 48_000_000),
    ],
)
def test_the_need_lies_on_the_line_through_the_points(context: int, kv: int, compute: int) -> None:
    need = CURVE.need(context, F16)
    assert (need.weights_bytes, need.kv_bytes, need.compute_bytes) == (4_000_000_000, kv, compute)
    assert need.resident_bytes == 4_000_000_000 + kv + compute + 80_000_000


def test_a_kv_type_without_points_is_not_guessed() -> None:
    with pytest.raises(KeyError):
        CURVE.need(1024, KvType.Q8_0)


def test_the_largest_context_is_the_last_that_stays_within_the_budget() -> None:
    budget = 4_700_000_000
    largest = CURVE.largest_context(F16, budget)
    assert largest % 256 == 0
    assert CURVE.need(largest, F16).resident_bytes <= budget < CURVE.need(largest + 256, F16).resident_bytes
    assert CURVE.largest_context(F16, 1_000_000_000) == 0
    assert CURVE.largest_context(F16, 10**12) == 32768


@pytest.mark.parametrize(
    ("now", "machine", "verdict", "fits_now", "fits_machine"),
    [
        (6.0, 8.0, Verdict.FITS, True, True),
        (4.4, 8.0, Verdict.TIGHT, True, True),
        (3.0, 8.0, Verdict.TOO_BIG_NOW, False, True),
        (3.0, 4.0, Verdict.TOO_BIG, False, False),
    ],
)
def test_two_verdicts(now: float, machine: float, verdict: Verdict, fits_now: bool, fits_machine: bool) -> None:
    found = judge(CURVE, 1024, F16, MemoryBudget(int(machine * 1e9), int(now * 1e9)))
    assert (found.verdict, found.fits_now, found.fits_machine) == (verdict, fits_now, fits_machine)


def test_the_arithmetic_adds_up() -> None:
    budget = MemoryBudget(8 * 10**9, 6 * 10**9)
    rows = dict(arithmetic(judge(CURVE, 1024, F16, budget), budget))
    sizes = list(rows.values())
    assert sum(sizes[:4]) == rows["Needed in all"]


def test_a_context_beyond_what_the_model_was_trained_for_is_not_asked_for() -> None:
    assert judge(CURVE, 10**6, F16, MemoryBudget(10**12, 10**12)).context_tokens == 32768
