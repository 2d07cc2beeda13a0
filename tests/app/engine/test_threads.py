"""Thread counts: measured in turns, and adapted against a simulated machine with neighbours that come and go."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from app.engine.messages import ThreadCounts
from app.engine.threads import AdaptiveThreads, candidate_thread_counts, measure
from app.errors import Cancelled
from app.operation import Event, Progress, Stage


@dataclass
class Machine:
    """ms/token of a model whose work divides among threads until memory is the limit; barriers wait for the slowest.

    A thread on a core that a neighbour uses gets half of it, and so the whole step takes twice as long.
    """

    cores: int = 8
    work_ms: float = 200.0
    memory_ms: float = 40.0
    barrier_ms: float = 0.5
    busy: int = 0
    noise: float = 0.03
    growth: float = 1.0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def quiet_ms(self, threads: int) -> float:
        return max(self.work_ms / threads, self.memory_ms) + self.barrier_ms * threads

    def ms(self, threads: int) -> float:
        shared = max(0, threads + self.busy - self.cores)
        slowdown = 1 + min(1.0, shared) + 0.2 * shared
        return self.quiet_ms(threads) * slowdown * self.growth * self.random.lognormvariate(0, self.noise)

    @property
    def best(self) -> int:
        return min(range(1, self.cores + 1), key=lambda n: self.quiet_ms(n) * (1 + (n + self.busy > self.cores)))


def drive(threads: AdaptiveThreads, tokens: int, ms: Callable[[int], float]) -> list[int]:
    """The count used for each token."""
    used = []
    for _ in range(tokens):
        used.append(threads.current)
        threads.observe(ms(threads.current))
    return used


def share_of(used: list[int], count: int) -> float:
    return used.count(count) / len(used)


# ---- measuring


@pytest.mark.parametrize(("usable", "physical"), [(1, 1), (2, 2), (4, 4), (8, 4), (20, 14), (4, 8), (64, 32)])
def test_candidates_are_few_possible_and_start_with_the_likeliest(usable: int, physical: int) -> None:
    counts = candidate_thread_counts(usable, physical)
    assert counts[0] == min(usable, physical)
    assert {1, usable} <= set(counts)
    assert len(set(counts)) == len(counts) <= 8
    assert all(1 <= count <= usable for count in counts)


def test_the_fastest_counts_win_for_each_kind_of_work() -> None:
    decode, prefill = Machine(work_ms=40, memory_ms=8), Machine(work_ms=400, memory_ms=1)
    assert measure(decode.ms, prefill.ms, (8, 6, 5, 4, 2, 1)) == ThreadCounts(decode=5, prefill=8)


def test_fewer_threads_win_a_tie() -> None:
    times = {8: 10.0, 4: 10.15, 2: 10.5}
    assert measure(times.__getitem__, times.__getitem__, (8, 4, 2)) == ThreadCounts(4, 4)


@pytest.mark.parametrize("disturbed_runs", [range(4), range(12), range(8, 20)])
def test_a_disturbance_for_a_while_changes_nothing(disturbed_runs: range) -> None:
    """Two threads suffer from a busy neighbour, one does not."""
    calls = iter(range(1000))

    def disturbed(count: int) -> float:
        return {2: 10.0, 1: 13.0}[count] * (8 if next(calls) in disturbed_runs and count == 2 else 1)

    assert measure(disturbed, {2: 10.0, 1: 13.0}.__getitem__, (2, 1)) == ThreadCounts(2, 2)


def test_the_first_run_after_a_change_of_threads_does_not_count() -> None:
    previous = 0

    def slow_to_change(count: int) -> float:
        nonlocal previous
        changed, previous = count != previous, count
        return {2: 10.0, 1: 18.0}[count] + (100.0 if changed and count == 2 else 0.0)

    assert measure(slow_to_change, slow_to_change, (2, 1)) == ThreadCounts(2, 2)


def test_the_budget_holds_for_a_large_model() -> None:
    spent = 0.0

    def slow(count: int) -> float:
        nonlocal spent
        ms = 700.0 + 10 * count
        spent += ms
        return ms

    assert measure(slow, slow, (8, 16, 4, 6, 12, 2, 1), budget_s=10).decode >= 1
    assert spent <= 10_000


def test_one_candidate_is_measured_even_without_a_budget() -> None:
    assert measure(lambda n: 60_000.0, lambda n: 60_000.0, (8, 4), budget_s=1) == ThreadCounts(8, 8)


def test_hopeless_counts_are_not_measured_again() -> None:
    tried: list[int] = []

    def decode(count: int) -> float:
        tried.append(count)
        return 80.0 if count == 1 else 10.0 + count / 10

    measure(decode, decode, (4, 2, 1))
    assert tried.count(1) < tried.count(2) / 2


def test_progress_rises_to_its_end() -> None:
    said: list[Event] = []
    machine = Machine()
    measure(machine.ms, machine.ms, (8, 4, 1), report=said.append)
    steps = [(event.stage, event.done, event.total) for event in said if isinstance(event, Progress)]
    assert steps == [(Stage.MEASURE_THREADS, done, len(said)) for done in range(1, len(said) + 1)]
    assert len(steps) >= 5


def test_a_stop_ends_it_at_once() -> None:
    runs = 0

    def decode(count: int) -> float:
        nonlocal runs
        runs += 1
        return 10.0

    with pytest.raises(Cancelled):
        measure(decode, decode, (8, 4, 1), should_stop=lambda: runs >= 4)
    assert runs == 4


# ---- adapting

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quiet_machine_stays_as_measured(seed: int) -> None:
    machine = Machine(random=random.Random(seed))
    used = drive(AdaptiveThreads(8, 8), 250, Machine(work_ms=400, random=machine.random).ms)
    assert set(used) == {8}
    assert share_of(drive(AdaptiveThreads(5, 8), 250, machine.ms), 5) > 0.94  # one more thread is tried twice


@pytest.mark.parametrize("seed", SEEDS)
def test_trials_above_the_measured_count_are_rare(seed: int) -> None:
    machine = Machine(random=random.Random(seed))
    used = drive(AdaptiveThreads(5, 8), 4000, machine.ms)
    assert share_of(used, 5) > 0.985


@pytest.mark.parametrize("seed", SEEDS)
def test_a_busy_neighbour_leads_to_fewer_threads(seed: int) -> None:
    machine = Machine(random=random.Random(seed))
    threads = AdaptiveThreads(5, 8)
    drive(threads, 60, machine.ms)
    machine.busy = 5
    drive(threads, 60, machine.ms)
    used = drive(threads, 200, machine.ms)
    assert threads.current <= 3 or share_of(used, 3) > 0.7
    adapted = sum(machine.ms(n) for n in used)
    assert adapted < 0.75 * sum(machine.ms(5) for _ in used)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_goes_back_when_the_neighbour_leaves(seed: int) -> None:
    machine = Machine(random=random.Random(seed))
    threads = AdaptiveThreads(5, 8)
    drive(threads, 60, machine.ms)
    machine.busy = 5
    drive(threads, 300, machine.ms)
    machine.busy = 0
    drive(threads, 200, machine.ms)
    assert share_of(drive(threads, 100, machine.ms), 5) > 0.95


def test_it_goes_back_within_tokens_when_it_is_told() -> None:
    machine = Machine()
    threads = AdaptiveThreads(5, 8, busy_cores=lambda: float(machine.busy))
    drive(threads, 60, machine.ms)
    machine.busy = 5
    drive(threads, 300, machine.ms)
    assert threads.current < 5
    machine.busy = 0
    drive(threads, 40, machine.ms)
    assert share_of(drive(threads, 60, machine.ms), 5) > 0.95


def test_a_machine_that_is_busy_from_the_start_is_noticed_when_it_is_told() -> None:
    machine = Machine(busy=5)
    told, untold = AdaptiveThreads(5, 8, busy_cores=lambda: 5.0), AdaptiveThreads(5, 8)
    drive(told, 100, machine.ms)
    assert min(drive(untold, 250, machine.ms)) == 5  # the control: times alone show no jump
    assert sum(map(machine.ms, drive(told, 200, machine.ms))) < 0.75 * 200 * machine.ms(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_noisy_spikes_change_nothing(seed: int) -> None:
    machine = Machine(work_ms=400, random=random.Random(seed))
    used = drive(AdaptiveThreads(8, 8), 2000, lambda n: machine.ms(n) * (5 if machine.random.random() < 0.06 else 1))
    assert share_of(used, 8) > 0.97


def test_slow_growth_with_the_context_changes_nothing() -> None:
    machine = Machine(work_ms=400)
    threads = AdaptiveThreads(8, 8)
    for token in range(4000):
        machine.growth = 1 + token / 1000  # five times slower at the end
        assert threads.observe(machine.ms(threads.current)) == 8


def test_a_jump_that_fewer_threads_do_not_mend_costs_little() -> None:
    """Another answer on a context twice as long: slower, and no fault of the neighbours."""
    machine = Machine()
    threads = AdaptiveThreads(5, 8)
    drive(threads, 60, machine.ms)
    machine.growth = 2.5
    used = drive(threads, 1000, machine.ms)
    plain = 1000 * machine.quiet_ms(5) * machine.growth
    assert sum(map(machine.ms, used)) < 1.06 * plain
    assert len(set(used)) > 1  # it did try


def ratio_to_plain(seed: int, told: bool) -> float:
    """Time of 3000 tokens, a neighbour coming and going at random, over that of the measured count alone."""
    events = random.Random(seed)
    machine = Machine(noise=0.15, random=random.Random(seed))
    threads = AdaptiveThreads(5, 8, (lambda: float(machine.busy)) if told else (lambda: 0.0))
    adaptive = plain = 0.0
    for _ in range(3000):
        if events.random() < 0.01:
            machine.busy = events.choice((0, 0, 2, 5, 8))
        adaptive += machine.ms(threads.current)
        plain += machine.ms(5)
        threads.observe(machine.ms(threads.current))
    return adaptive / plain


@pytest.mark.parametrize("told", [False, True])
def test_never_much_worse_than_plain_and_better_on_the_whole(told: bool) -> None:
    ratios = [ratio_to_plain(seed, told) for seed in SEEDS]
    assert max(ratios) < 1.05
    assert statistics.mean(ratios) < 0.98


def test_two_cores_both_busy() -> None:
    """Fewer threads are no better here: it tries now and then and stays."""
    threads = AdaptiveThreads(2, 2, busy_cores=lambda: 2.0)
    used = drive(threads, 1000, lambda n: 68.0)
    assert share_of(used, 2) > 0.9


def test_a_count_measured_in_a_bad_moment_is_left_soon() -> None:
    threads = AdaptiveThreads(1, 2)
    machine = Machine(cores=2, work_ms=50, memory_ms=20)
    drive(threads, 40, machine.ms)
    assert threads.best == 2
    assert set(drive(threads, 100, machine.ms)) == {2}


def test_it_climbs_as_far_as_it_helps() -> None:
    machine = Machine()
    threads = AdaptiveThreads(2, 8)
    drive(threads, 100, machine.ms)
    assert threads.best in (4, 5, 6)


def test_the_next_answer_starts_from_the_measured_count() -> None:
    machine = Machine()
    threads = AdaptiveThreads(5, 8, busy_cores=lambda: float(machine.busy))
    drive(threads, 60, machine.ms)
    machine.busy = 5
    drive(threads, 200, machine.ms)
    assert threads.current < 5
    machine.busy = 0
    threads.begin_answer()
    assert min(drive(threads, 20, machine.ms)) == 5


def test_an_answer_that_begins_on_a_busy_machine_adapts_at_once() -> None:
    machine = Machine(busy=5)
    threads = AdaptiveThreads(5, 8, busy_cores=lambda: 5.0)
    threads.begin_answer()
    assert set(drive(threads, 7, machine.ms)) == {5}
    assert drive(threads, 1, machine.ms)[0] < 5


def test_short_answers_do_not_try_more_threads_each_time() -> None:
    machine = Machine()
    threads = AdaptiveThreads(5, 8)
    used = []
    for _ in range(50):
        threads.begin_answer()
        used += drive(threads, 40, machine.ms)
    assert share_of(used, 5) > 0.985


def test_the_first_token_of_an_answer_is_not_mistaken_for_a_fast_one() -> None:
    machine = Machine(work_ms=400)
    threads = AdaptiveThreads(8, 8)
    for _ in range(100):
        threads.observe(0.05)
        assert set(drive(threads, 2, machine.ms)) == {8}


def test_a_machine_that_gets_much_faster_is_believed() -> None:
    """The neighbour of a runtime whose threads spin: a factor of twenty, at once."""
    machine = Machine(growth=20)
    threads = AdaptiveThreads(5, 8)
    drive(threads, 60, machine.ms)
    machine.growth = 1
    drive(threads, 60, machine.ms)
    machine.busy = 5
    drive(threads, 40, machine.ms)
    assert threads.current < 5


@pytest.mark.parametrize("measured", [8, 12])
def test_counts_at_the_edge_are_kept(measured: int) -> None:
    threads = AdaptiveThreads(measured, 8)
    assert threads.current == measured
    assert set(drive(threads, 100, lambda n: 10.0)) == {measured}


@pytest.mark.parametrize("measured", [1, 5])
def test_more_threads_that_gain_nothing_are_not_kept(measured: int) -> None:
    threads = AdaptiveThreads(measured, 8)
    assert share_of(drive(threads, 1000, lambda n: 10.0), measured) > 0.97
    assert threads.best == measured


def test_one_core_has_nothing_to_adapt() -> None:
    threads = AdaptiveThreads(1, 1, busy_cores=lambda: 1.0)
    machine = Machine(cores=1)
    drive(threads, 50, machine.ms)
    machine.growth = 4
    assert set(drive(threads, 200, machine.ms)) == {1}
