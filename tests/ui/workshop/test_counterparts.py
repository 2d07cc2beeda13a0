"""A pruned model beside the original, beside the same type without pruning, and beside a ready-made one."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot

from app.measure.families import families
from tests.ui.scenes_ledger import FOLDER, figures, source, variants
from tests.ui.scenes_recipe import READY_MADE, figures_with_pruned, pruned
from tests.ui.scenes_smaller import offers
from ui.models.models_model import ModelsModel
from ui.workshop.compare_pane import ComparePane
from ui.workshop.counterparts import PLAIN_TYPE, comparison, found_words, is_compared, ready_made_row


@pytest.fixture
def pane(qtbot: QtBot) -> ComparePane:
    models = ModelsModel()
    models.set_entries((source(), *variants(), pruned()))
    models.set_figures(figures_with_pruned())
    pane = ComparePane(models)
    models.setParent(pane)
    qtbot.addWidget(pane)
    return pane


def test_before_after_and_what_quantizing_alone_makes_of_it() -> None:
    (family,) = families((source(), *variants(), pruned()), figures_with_pruned())
    row = next(one for one in family.rows if one.entry.path == pruned().path)
    before, alone, after = comparison(row, family)
    assert before.values == ("3.5 GB", "4.2 GB", "262 ms", "14.21", "<0.0001", "99.9 %")
    assert "not pruned" in alone.name
    assert after.values == ("0.9 GB", "1.6 GB", "71 ms", "15.88", "0.0721", "88.4 %")
    assert [one.strong for one in (before, alone, after)] == [False, False, True]


def test_the_originals_perplexity_is_known_from_the_measurement_alone() -> None:
    (family,) = families((source(), pruned()), figures_with_pruned())
    row = family.variants[0]
    before, after = comparison(row, family)
    assert before.values == ("3.4 GB", "", "", "14.20", "", "")
    assert after.strong


def test_what_was_not_measured_is_predicted_and_says_so() -> None:
    (family,) = families((source(), pruned()), figures_with_pruned())
    known = {offer.type: offer for offer in offers().offers}
    predicted = {PLAIN_TYPE: dataclasses.replace(known["Q8_0"], type=PLAIN_TYPE), "Q4_K_M": known["Q4_K_M"]}
    before, alone, after = comparison(family.variants[0], family, predicted)
    assert before.values[:4] == ("3.4 GB", "about 2.7 GB", "about 140 ms", "14.20")
    assert alone.name == "Q4_K_M, not pruned (predicted)"
    assert alone.values == ("1.1 GB", "about 2.0 GB", "about 87 ms", "", "", "")
    assert after == comparison(family.variants[0], family)[-1], "what was measured stands as it is"


def test_predictions_are_asked_for_and_shown(pane: ComparePane, qtbot: QtBot) -> None:
    pane.findChild(ModelsModel).set_figures({})
    with qtbot.waitSignal(pane.offers_wanted) as asked:
        pane.choose(pruned().path)
    assert asked.args == [FOLDER, (PLAIN_TYPE, "Q4_K_M")]
    pane.show_offers(offers())
    assert [row.values[2] for row in pane.beside.table.rows if "not pruned" in row.name] == ["about 87 ms"]


def test_only_what_was_pruned_here_is_compared() -> None:
    (family,) = families((source(), *variants()), figures())
    assert not any(is_compared(row) for row in family.rows)
    assert not is_compared(None)


def test_a_ready_made_one_is_asked_for_once_and_shown(pane: ComparePane, qtbot: QtBot) -> None:
    with qtbot.waitSignal(pane.ready_made_wanted) as asked:
        pane.choose(pruned().path)
    assert (asked.args[0].entry.path, asked.args[0].source.path) == (pruned().path, FOLDER)
    assert "Looking for" in pane.beside.words.accessibleName()
    with qtbot.assertNotEmitted(pane.ready_made_wanted):
        pane.choose(pruned().path)
    pane.show_ready_made(pruned().path, READY_MADE, found_words(READY_MADE))
    assert pane.beside.table.rows[-1] == ready_made_row(READY_MADE)
    with qtbot.waitSignal(pane.discover_requested) as shown:
        pane.beside.show_on_discover.click()
    assert shown.args == ["Qwen/Qwen3-0.6B-GGUF"]


def test_without_the_hub_a_calm_line(pane: ComparePane) -> None:
    pane.choose(pruned().path)
    pane.show_ready_made(pruned().path, None, "The hub cannot be reached.")
    assert pane.beside.words.accessibleName() == "The hub cannot be reached."
    assert not pane.beside.show_on_discover.isEnabled()
    assert len(pane.beside.table.rows) == 3


def test_the_answer_for_another_model_counts_for_nothing(pane: ComparePane) -> None:
    pane.choose(variants()[1].path)
    assert pane.beside.isHidden()
    pane.show_ready_made(pruned().path, READY_MADE, "")
    assert all("Ready-made" not in row.name for row in pane.beside.table.rows)
