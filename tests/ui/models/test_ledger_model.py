"""The tree of sources and variants: a correct Qt model, sorted by numbers, filtered without tearing families apart."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester

from app.measure.families import families
from tests.ui.scenes import sample_entries
from tests.ui.scenes_ledger import FOLDER, figures, source, variants
from ui.models.ledger_model import ENTRY_ROLE, LedgerColumn, LedgerFilter, LedgerModel

ENTRIES = (source(), *variants(), *sample_entries()[:3])


@pytest.fixture
def ledger(qapp) -> LedgerModel:
    ledger = LedgerModel()
    ledger.set_families(families(ENTRIES, figures()))
    return ledger


def column(rows: LedgerFilter, number: LedgerColumn, parent: QModelIndex) -> list[str]:
    return [rows.index(row, number, parent).data() for row in range(rows.rowCount(parent))]


def test_is_a_correct_qt_model(ledger: LedgerModel) -> None:
    tester = QAbstractItemModelTester(ledger, QAbstractItemModelTester.FailureReportingMode.Fatal)
    ledger.set_families(families(ENTRIES, {}))
    ledger.set_families(families(ENTRIES[:2], {}))
    ledger.set_families(())
    assert tester.model() is ledger


def test_variants_stand_under_their_source(ledger: LedgerModel) -> None:
    rows = LedgerFilter(ledger)
    index = rows.row_of(FOLDER)
    assert rows.rowCount(index) == len(variants())
    assert rows.row_of(variants()[0].path).parent() == index
    assert rows.rowCount() == len(sample_entries()[:3]) + 1


@pytest.mark.parametrize("order", [Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder])
def test_numbers_are_sorted_and_what_was_not_measured_is_last(ledger: LedgerModel, order: Qt.SortOrder) -> None:
    rows = LedgerFilter(ledger)
    rows.sort(LedgerColumn.KL, order)
    found = column(rows, LedgerColumn.KL, rows.row_of(FOLDER))
    assert found[-1] == ""
    measured = ["<0.0001", "0.0014", "0.0171", "0.0312", "0.0467", "0.0893"]
    assert found[:-1] == (measured if order is Qt.SortOrder.AscendingOrder else measured[::-1])


def test_numbers_stand_at_the_right(ledger: LedgerModel) -> None:
    index = ledger.index(0, LedgerColumn.KL)
    assert index.data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight
    assert not ledger.index(0, LedgerColumn.NAME).data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight


def test_a_variant_that_is_found_brings_its_source(ledger: LedgerModel) -> None:
    rows = LedgerFilter(ledger)
    rows.set_text("q8_0")
    assert rows.rowCount() == 1
    assert rows.rowCount(rows.index(0, 0)) == 1
    assert rows.first().data(ENTRY_ROLE) == variants()[1]
    rows.set_text("nothing like it")
    assert rows.rowCount() == 0
    assert not rows.first().isValid()


def test_new_figures_reset_nothing(ledger: LedgerModel, qtbot) -> None:
    with qtbot.assertNotEmitted(ledger.modelReset), qtbot.waitSignal(ledger.dataChanged):
        ledger.set_families(families(ENTRIES, {}))
    assert ledger.row_of(variants()[1].path).kl is None


def test_a_flat_table_calls_variants_by_their_recipe(qapp) -> None:
    ledger = LedgerModel(flat=True)
    ledger.set_families(families(ENTRIES, figures())[:1])
    assert [ledger.index(row, 0).data() for row in (0, 5)] == ["BF16, the source", "Q4_K_M best"]
