from __future__ import annotations

import pytest

from app.fit.first_choice import MEMORY_CLASSES_GB, all_first_models, first_models, memory_class_gb
from app.hub.repository import repository_id

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "gb"),
    [
        (2 * GIB, 4),
        (int(3.7 * GIB), 4),
        (int(7.4 * 1e9), 8),
        (int(15.3 * GIB), 16),
        (24 * GIB, 16),
        (int(31 * GIB), 32),
        (64 * GIB, 32),
    ],
)
def test_the_class_of_a_computer(total: int, gb: int) -> None:
    assert memory_class_gb(total) == gb


@pytest.mark.parametrize("gb", MEMORY_CLASSES_GB)
def test_each_class_has_a_few_that_fit_as_4_bit_files(gb: int) -> None:
    models = first_models(gb * GIB)
    assert 2 <= len(models) <= 5
    assert all(model.summary.parameters * 0.6 < gb * 1e9 * 0.8 for model in models)


def test_all_name_a_repository_and_say_why_in_a_sentence() -> None:
    for model in all_first_models():
        assert repository_id(model.summary.id) == model.summary.id
        assert model.why.endswith(".")
        assert model.summary.license
