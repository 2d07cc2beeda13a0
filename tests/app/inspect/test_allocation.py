"""Bytes go where they save most, and never beyond what there is."""

from __future__ import annotations

from itertools import product

from app.inspect.suggesting import Choice, allocate


def options(cost: float, size: int = 100) -> list[Choice]:
    return [Choice("four", 4 * size, cost), Choice("six", 6 * size, cost / 16), Choice("eight", 8 * size, cost / 256)]


def test_what_costs_most_a_byte_gets_the_better_type() -> None:
    chosen = allocate([options(1.0), options(5.0), options(0.1)], 1400)
    assert [choice.type for choice in chosen] == ["four", "six", "four"]


def test_no_bytes_no_upgrade_and_the_budget_is_kept() -> None:
    groups = [options(1.0), options(5.0, 70), options(0.1, 30)]
    for budget in (800, 1000, 1200, 1500, 2000):
        assert sum(choice.size_bytes for choice in allocate(groups, budget)) <= budget
    assert [choice.type for choice in allocate(groups, 800)] == ["four"] * 3


def test_it_is_close_to_the_best_of_all() -> None:
    groups = [options(1.0), options(5.0, 70), options(0.1, 30), options(2.5, 50)]
    budget = 1400
    possible = [all_ for all_ in product(*groups) if sum(choice.size_bytes for choice in all_) <= budget]
    best = min(sum(choice.loss for choice in all_) for all_ in possible)
    cheapest = sum(group[0].loss for group in groups)
    found = sum(choice.loss for choice in allocate(groups, budget))
    assert found - best < 0.05 * (cheapest - best)


def test_an_upgrade_that_saves_nothing_is_not_bought() -> None:
    assert allocate([[Choice("four", 400, 0.0), Choice("eight", 800, 0.0)]], 10_000)[0].type == "four"
