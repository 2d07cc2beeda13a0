"""The rows of the models page: typed, sorted by the numbers behind the words, filtered by words."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester

from tests.ui.fake_engine import SAMPLE_MODEL
from tests.ui.scenes import sample_entries
from ui.models.models_model import ENTRY_ROLE, LOADED_ROLE, Column, ModelsFilter, ModelsModel


@pytest.fixture
def models(qapp) -> ModelsModel:
    models = ModelsModel()
    models.set_entries(sample_entries())
    return models


def names(rows: ModelsFilter) -> list[str]:
    return [rows.index(row, 0).data(ENTRY_ROLE).name for row in range(rows.rowCount())]


def test_is_a_correct_qt_model(models: ModelsModel) -> None:
    tester = QAbstractItemModelTester(models, QAbstractItemModelTester.FailureReportingMode.Fatal)
    models.set_entries(sample_entries()[:2])
    models.set_entries(())
    assert tester.model() is models


def test_row_gives_its_entry(models: ModelsModel) -> None:
    assert models.index(3, 2).data(ENTRY_ROLE) == sample_entries()[3]


def test_sizes_are_sorted_as_numbers(models: ModelsModel) -> None:
    rows = ModelsFilter(models)
    rows.sort(Column.SIZE, Qt.SortOrder.DescendingOrder)
    assert names(rows)[:3] == [
        "Qwen2.5 32B Instruct",
        "Meta Llama 3.1 8B Instruct with a very long name of its maker",
        "gemma-3-4b-it",
    ]


def test_filter_finds_words_in_any_order(models: ModelsModel) -> None:
    rows = ModelsFilter(models)
    rows.set_text("Q4_K QWEN")
    assert names(rows) == ["Qwen2.5 32B Instruct", "Qwen3 1.7B"]


def test_loaded_row_is_marked(models: ModelsModel) -> None:
    models.set_loaded(SAMPLE_MODEL.path)
    marked = [models.index(row, 0).data(LOADED_ROLE) for row in range(models.rowCount())]
    assert marked.count(True) == 1


def test_same_rows_are_not_reset(models: ModelsModel, qtbot) -> None:
    changed = tuple(dataclasses.replace(entry, problem="Cut off.") for entry in sample_entries())
    with qtbot.assertNotEmitted(models.modelReset), qtbot.waitSignal(models.dataChanged):
        models.set_entries(changed)
    with qtbot.assertNotEmitted(models.dataChanged):
        models.set_entries(changed)


def test_problem_can_be_heard(models: ModelsModel) -> None:
    words = models.index(2, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "cut off" in words
