"""The fields of the steps: what is offered for a model, what is hidden, what cannot be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.library.safetensors import FolderFacts
from app.prune.messages import PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, RecoverStep
from app.recover.messages import BUNDLED_TEXT, OVERNIGHT_TOKENS, RecoverMethod
from ui.widgets.fields import ChoiceBox
from ui.workshop.step_card import PruneFields, QuantizeFields, RecoverFields

FACTS = FolderFacts(layers=28, ffn_width=1536, kv_heads=8)


def choose(box: ChoiceBox, value: object) -> None:
    """As a person does: the box announces it."""
    box.choose(value)
    assert box.value == value
    box.activated.emit(box.currentIndex())


def lines(box: ChoiceBox) -> list[str]:
    return [box.itemText(number) for number in range(box.count())]


@pytest.fixture
def prune(qtbot: QtBot) -> PruneFields:
    fields = PruneFields(PruneStep(PruneMethod.FFN, 0.25))
    qtbot.addWidget(fields)
    fields.set_facts(FACTS)
    return fields


def test_widths_are_the_models_own_numbers(prune: PruneFields, qtbot: QtBot) -> None:
    assert "1,536 → 1,024 (a third less)" in lines(prune.width_left)
    with qtbot.waitSignal(prune.changed):
        choose(prune.width_left, 1024)
    assert prune.step.amount == pytest.approx(1 / 3)
    assert prune.width_field.note.isHidden()


def test_widths_between_come_with_their_warning(prune: PruneFields) -> None:
    prune.narrow.click()
    assert prune.step.width_multiple == 32
    choose(prune.width_left, 1344)
    assert "fall back" in prune.width_field.note.text()
    prune.narrow.click()
    assert prune.step.width_multiple == 256
    assert all(width % 256 == 0 for width in prune.width_left.values)


def test_layers_and_groups_are_counts(prune: PruneFields) -> None:
    choose(prune.method, PruneMethod.LAYERS)
    assert prune.step.method is PruneMethod.LAYERS, "and not its word"
    assert prune.count.suffix() == " of 28 layers"
    prune.count.setValue(7)
    assert prune.step.amount == pytest.approx(0.25)
    assert "21 are left, a quarter less" in prune.count_field.note.text()
    choose(prune.method, PruneMethod.KV_GROUPS)
    assert (prune.count.suffix(), prune.count.maximum()) == (" of 8 groups", 7)


def test_what_does_not_apply_is_not_there(prune: PruneFields) -> None:
    def shown() -> set[str]:
        fields = {"width": prune.width_field, "count": prune.count_field, "share": prune.share_field}
        fields |= {"pattern": prune.pattern_field, "refit": prune.refit_field, "rewind": prune.rewind_field}
        fields |= {"importance": prune.importance_field, "rounds": prune.rounds_field}
        fields |= {"fit also": prune.refit_too_field}
        return {name for name, field in fields.items() if not field.isHidden()}

    assert shown() == {"width", "refit", "fit also", "rounds"}
    prune.refit.click()
    assert shown() == {"width", "refit", "rounds"}
    prune.refit.click()
    choose(prune.method, PruneMethod.LAYERS)
    assert shown() == {"count", "importance", "rounds"}
    choose(prune.method, PruneMethod.WANDA)
    assert shown() == {"share", "pattern", "rewind"}
    choose(prune.pattern, "2:4")
    assert shown() == {"pattern", "rewind"}
    assert prune.step == PruneStep(PruneMethod.WANDA, 0.5, "2:4")
    choose(prune.method, PruneMethod.GLOBAL_MAGNITUDE)
    assert prune.step.pattern == "", "zeros of the whole model have no pattern"


def test_another_method_forgets_what_it_cannot_mean(prune: PruneFields) -> None:
    prune.per_layer.click()
    prune.rounds.setValue(3)
    choose(prune.method, PruneMethod.SPARSEGPT)
    assert prune.step == PruneStep(PruneMethod.SPARSEGPT, 0.5)


def test_a_cut_that_the_model_cannot_spare_is_said_beside_it(prune: PruneFields) -> None:
    prune.set_facts(FolderFacts(layers=28, ffn_width=256, kv_heads=1))
    assert "256 wide" in prune.method_field.note.text()
    assert prune.problem
    prune.set_facts(FACTS)
    assert not prune.problem
    assert prune.method_field.note.isHidden()


def test_an_odd_share_of_a_file_is_shown_as_the_width_it_becomes(qtbot: QtBot) -> None:
    step = PruneStep(PruneMethod.FFN, 0.3)
    fields = PruneFields(step)
    qtbot.addWidget(fields)
    fields.set_facts(FACTS)
    assert fields.width_left.value == 1024
    assert fields.step is step, "looking at it changes nothing"


@pytest.fixture
def recover(qtbot: QtBot) -> RecoverFields:
    fields = RecoverFields(RecoverStep())
    qtbot.addWidget(fields)
    return fields


def test_learning_is_short_or_overnight_on_a_text(recover: RecoverFields, tmp_path: Path, monkeypatch) -> None:
    choose(recover.budget, OVERNIGHT_TOKENS)
    choose(recover.text, BUNDLED_TEXT)
    assert recover.step == RecoverStep(budget_tokens=OVERNIGHT_TOKENS, text=BUNDLED_TEXT)
    own = tmp_path / "letters.txt"
    own.write_text("Dear reader")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(own), ""))
    choose(recover.text, "another")
    assert (recover.step.text, recover.problem) == (str(own), "")
    assert recover.text.currentText() == "letters.txt"
    own.unlink()
    recover.refresh()
    assert recover.text_field.note.text() == "This file is not there."


def test_a_dialog_that_is_closed_changes_nothing(recover: RecoverFields, qtbot: QtBot, monkeypatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    with qtbot.assertNotEmitted(recover.changed):
        choose(recover.text, "another")
    assert recover.text.value == RecoverStep().text


def test_the_rank_is_of_added_weights_only(recover: RecoverFields) -> None:
    assert not recover.rank_field.isHidden()
    choose(recover.method, RecoverMethod.FULL)
    assert recover.rank_field.isHidden()


def test_a_budget_of_a_files_own_is_kept(qtbot: QtBot) -> None:
    fields = RecoverFields(RecoverStep(budget_tokens=123_000))
    qtbot.addWidget(fields)
    assert fields.budget.currentText() == "123,000 tokens"


@pytest.fixture
def quantize(qtbot: QtBot) -> QuantizeFields:
    fields = QuantizeFields(QuantizeStep())
    qtbot.addWidget(fields)
    return fields


def test_several_files_and_none(quantize: QuantizeFields) -> None:
    quantize.types["Q8_0"].click()
    assert quantize.step.types == ("Q4_K_M", "Q8_0")
    quantize.types["Q8_0"].click()
    quantize.types["Q4_K_M"].click()
    assert quantize.problem == "Choose one at least."
    assert quantize.types_field.note.text() == quantize.problem


def test_the_best_rounding_is_for_four_bits(quantize: QuantizeFields) -> None:
    quantize.best.click()
    assert quantize.step == QuantizeStep(best=True)
    assert quantize.calibrate_field.isHidden(), "it is part of the best rounding"
    quantize.types["Q8_0"].click()
    assert not quantize.step.best
    assert quantize.best_field.isHidden()
