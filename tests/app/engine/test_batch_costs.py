import pytest

from app.engine.batch_costs import SIZES, BatchCosts, measure_batches
from app.errors import Cancelled

# 1 B Q4_0, one thread: the kernels work in groups of four rows.
MEASURED = {1: 80.0, 2: 151.0, 3: 191.0, 4: 112.0, 5: 181.0, 8: 215.0, 16: 321.0}


def test_a_batch_is_filled_up_to_the_cheapest_size():
    costs = BatchCosts(MEASURED)
    assert [costs.filled(tokens) for tokens in (1, 2, 3, 4, 5, 6, 9)] == [1, 4, 4, 4, 5, 8, 16]
    assert [costs.ms(tokens) for tokens in (1, 2, 6, 16)] == [80.0, 112.0, 215.0, 321.0]
    assert costs.largest == 16


def test_a_slower_machine_is_slower_at_all_sizes():
    costs = BatchCosts(MEASURED)
    for _ in range(40):
        costs.observe(4, 3 * MEASURED[4])
    assert costs.ms(4) == pytest.approx(3 * MEASURED[4], rel=0.05)
    assert costs.plain_ms > 2 * MEASURED[1]


def test_a_size_that_was_measured_wrongly_is_corrected():
    costs = BatchCosts(MEASURED)
    for _ in range(60):
        costs.observe(1, 80.0)
        costs.observe(4, 200.0)
    assert costs.plain_ms == pytest.approx(80, rel=0.05)
    assert costs._expected(4) == pytest.approx(200, rel=0.05)


def test_one_run_that_was_held_up_changes_little():
    costs = BatchCosts(MEASURED)
    costs.observe(1, 5000.0)
    assert costs.plain_ms < 2 * 80


def test_an_unknown_size_is_ignored():
    costs = BatchCosts(MEASURED)
    costs.observe(7, 1.0)
    assert costs.plain_ms == 80.0


def test_a_batch_as_plain_ms():
    assert BatchCosts(MEASURED).as_plain_ms(4, 224.0) == pytest.approx(160.0)


def test_measuring_takes_medians_and_leaves_out_what_is_too_large():
    times = {1: iter([9, 1, 1, 7, 1, 1])}
    costs = measure_batches(lambda n: next(times[1]) if n == 1 else n, 8, lambda _event: None, lambda: False)
    assert set(costs) == {size for size in SIZES if size <= 8}
    assert costs[1] == 1
    assert costs[8] == 8


def test_of_a_slow_model_only_the_most_useful_sizes_are_measured():
    runs = []
    costs = measure_batches(lambda n: runs.append(n) or 900.0, 32, lambda _event: None, lambda: False)
    assert set(costs) == {1, 2, 3, 4, 8, 16}
    assert len(runs) == 7


def test_measuring_can_be_stopped():
    with pytest.raises(Cancelled):
        measure_batches(lambda n: 1.0, 8, lambda _event: None, lambda: True)
