"""The picker names the loaded model and picks another with the keyboard alone."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt

from app.settings import Settings
from tests.ui.fake_engine import SAMPLE_MODEL
from tests.ui.scenes import GB, sample_entries
from ui.models.models_model import ModelsModel
from ui.window.top_bar import ModelPicker, VerdictAtAGlance, facts


@pytest.fixture
def models(qapp) -> ModelsModel:
    models = ModelsModel()
    models.set_entries(sample_entries())
    return models


@pytest.fixture
def picker(qtbot, models: ModelsModel) -> ModelPicker:
    picker = ModelPicker(models, Settings())
    qtbot.addWidget(picker)
    return picker


def test_names_the_model(picker: ModelPicker) -> None:
    assert picker.text() == "Choose a model"
    picker.show_model(SAMPLE_MODEL)
    assert picker.text() == "Qwen3 1.7B  Q4_K_M"
    assert picker.accessibleName() == "Model: Qwen3 1.7B  Q4_K_M"


def test_type_and_enter_pick(picker: ModelPicker, qtbot) -> None:
    picker.open()
    popup = picker.popup()
    qtbot.keyClicks(popup.filter, "llama 5")
    with qtbot.waitSignal(picker.picked) as picked:
        qtbot.keyClick(popup.filter, Qt.Key.Key_Return)
    assert picked.args[0].name.startswith("Meta-Llama-3.1")
    assert popup.isHidden()


def test_arrows_move_and_stop_at_the_ends(picker: ModelPicker, qtbot) -> None:
    picker.open()
    popup = picker.popup()
    for _ in range(20):
        qtbot.keyClick(popup.filter, Qt.Key.Key_Down)
    assert popup.list.currentIndex().row() == len(sample_entries()) - 1
    for _ in range(20):
        qtbot.keyClick(popup.filter, Qt.Key.Key_Up)
    assert popup.list.currentIndex().row() == 0
    popup.hide()


def test_file_that_cannot_be_used_is_not_picked(picker: ModelPicker, qtbot) -> None:
    picker.open()
    popup = picker.popup()
    qtbot.keyClicks(popup.filter, "mistral")
    with qtbot.assertNotEmitted(picker.picked):
        qtbot.keyClick(popup.filter, Qt.Key.Key_Return)
    popup.hide()


def test_nothing_found_is_said(picker: ModelPicker, qtbot) -> None:
    picker.open()
    popup = picker.popup()
    qtbot.keyClicks(popup.filter, "nowhere")
    assert not popup.empty.isHidden()
    assert popup.list.isHidden()
    popup.hide()


def test_verdicts_in_words(models: ModelsModel) -> None:
    verdict = VerdictAtAGlance(Settings())
    entries = {entry.name: entry for entry in sample_entries()}
    assert verdict.words(entries["Qwen3 1.7B"], loaded=False)[0] == ""  # before the first sample: nothing is claimed
    verdict.available_bytes, verdict.total_bytes = 9 * GB, 16 * GB
    assert verdict.words(entries["Qwen3 1.7B"], loaded=True)[0] == "loaded"
    assert verdict.words(entries["Qwen3 1.7B"], loaded=False)[0] == "fits"
    assert verdict.words(entries["Qwen2.5 32B Instruct"], loaded=False)[0] == "too big"
    assert verdict.words(entries["Mistral-7B-Instruct-v0.3-Q4_K_M"], loaded=False)[0] == "cannot be used"
    assert verdict.words(entries["phi-4-Q4_K_M"], loaded=False)[0] == "not there now"


def test_facts_are_what_is_wrong_or_what_is_known() -> None:
    entries = {entry.name: entry for entry in sample_entries()}
    assert facts(entries["Qwen3 1.7B"]) == "1.7 B parameters · Q4_K_M · 1.1 GB on disk · context 40,960"
    assert facts(dataclasses.replace(entries["Qwen3 1.7B"], problem="Cut off.")) == "Cut off."
