"""Which model to begin with: it fits, it is comfortably quick, and the need is taken too high rather than too low."""

from __future__ import annotations

import pytest

from app.engine.messages import MachineSpeed, TensorSpeed
from app.fit.first_choice import FirstChoice, all_first_models, first_choice, first_models, suggest
from app.fit.judgement import MemoryBudget
from app.fit.verdict import budget_of

GB = 10**9


def speed(gigabytes_a_second: float) -> MachineSpeed:
    types = tuple(TensorSpeed(name, gigabytes_a_second * GB) for name in ("Q4_K", "Q8_0"))
    return MachineSpeed(types, gigabytes_a_second * GB, 0.05, 4, "2026-01-01")


def choose(total_gb: int, free: float = 0.6, bandwidth: float | None = 30) -> FirstChoice | None:
    budget = budget_of(total_gb * GB, int(total_gb * free * GB))
    known = speed(bandwidth) if bandwidth else None
    return first_choice(first_models(total_gb * GB), 4096, budget, known, 200)


@pytest.mark.parametrize(
    ("total_gb", "bandwidth", "name"),
    [
        (4, 15, "Llama 3.2 1B"),
        (8, 20, "Qwen3 4B"),
        (16, 25, "Qwen3 4B"),
        (16, 40, "Qwen3 8B"),
        (32, 60, "gemma 3 12b"),
    ],
)
def test_the_largest_that_is_comfortably_quick(total_gb: int, bandwidth: float, name: str) -> None:
    choice = choose(total_gb, bandwidth=bandwidth)
    assert choice is not None
    assert choice.model.name == name
    assert choice.fits_now
    assert choice.ms_per_token is not None
    assert choice.ms_per_token <= 150
    assert "fits and should take about" in choice.sentence


def test_a_slow_computer_gets_the_quickest() -> None:
    choice = choose(16, bandwidth=3)
    assert choice is not None
    assert choice.model.summary.parameters == min(one.summary.parameters for one in first_models(16 * GB))


def test_with_little_free_memory_it_is_said_what_to_do() -> None:
    choice = choose(8, free=0.1)
    assert choice is not None
    assert not choice.fits_now
    assert "once other programs are closed" in choice.sentence


def test_without_a_speed_the_smallest_is_taken_and_no_speed_is_said() -> None:
    choice = choose(8, bandwidth=None)
    assert choice is not None
    assert choice.ms_per_token is None
    assert choice.sentence.endswith("it fits.")


def test_where_nothing_fits_nothing_is_suggested() -> None:
    assert first_choice(first_models(4 * GB), 4096, MemoryBudget(GB, GB), speed(20), 200) is None


@pytest.mark.parametrize("bandwidth", [3, 25, 40, None])
def test_the_list_begins_with_the_choice(bandwidth: float | None) -> None:
    total = 16 * GB
    known = speed(bandwidth) if bandwidth else None
    suggested = suggest(total, 4096, budget_of(total, int(0.6 * total)), known, 200)
    assert suggested.choice is not None
    assert suggested.models[0] == suggested.choice.model
    assert set(first_models(total)) <= set(suggested.models)
    assert len(set(suggested.models)) == len(suggested.models)


def test_the_list_keeps_its_order_where_nothing_is_chosen() -> None:
    suggested = suggest(4 * GB, 4096, MemoryBudget(GB, GB), speed(20), 200)
    assert suggested.choice is None
    assert suggested.models == first_models(4 * GB)


def test_the_facts_of_the_list_are_plausible() -> None:
    """Bits a weight as the label says, and no more read than there is."""
    for model in all_first_models():
        bits = model.file.size_bytes * 8 / model.summary.parameters
        low, high = {"Q8_0": (6.5, 9.0), "Q4_K_M": (4.4, 5.4)}[model.file.label]
        assert low <= bits <= high, (model.name, bits)
        assert 0 < model.file.read_bytes <= model.file.size_bytes
        assert model.file.kv_bytes_per_token % (model.file.layers * 4) == 0
