"""What the sheet of a chat's settings suggests and stores."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.chat.conversation import Conversation
from app.chat.presets import BALANCED, CREATIVE, PRECISE
from ui.chat.sampling_panel import CUSTOM, ChatSettingsPane, PresetField
from workers.chat_storage import ChatStorage

NEW = Conversation("", "New chat", preset=BALANCED.name)
SMALL, USUAL = 21_000_000, 1_700_000_000


@pytest.fixture
def pane(qtbot: QtBot, storage: ChatStorage) -> ChatSettingsPane:
    pane = ChatSettingsPane(storage)
    qtbot.addWidget(pane)
    pane.show_conversation(NEW)
    return pane


def test_a_new_chat_with_a_very_small_model_begins_precise(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    with qtbot.waitSignal(pane.changed) as changed:
        pane.suggest_for(SMALL)
    assert (changed.args[0].sampling, changed.args[0].preset) == (PRECISE.sampling, "Precise")
    assert pane.preset.currentText() == "Precise"
    with qtbot.waitSignal(pane.changed):
        pane.show_conversation(NEW)
    assert pane.sampling() == PRECISE.sampling


def test_the_suggestion_follows_the_model(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    pane.suggest_for(SMALL)
    pane.suggest_for(USUAL)
    assert pane.preset.currentText() == "Balanced"
    with qtbot.assertNotEmitted(pane.changed):
        pane.show_conversation(NEW)


def test_what_the_user_chose_stays(pane: ChatSettingsPane) -> None:
    pane.prompt.setPlainText("Be brief.")
    pane.preset.setCurrentText(CREATIVE.name)
    pane.suggest_for(SMALL)
    assert (pane.preset.currentText(), pane.prompt.toPlainText()) == (CREATIVE.name, "Be brief.")


def test_a_system_prompt_in_writing_is_kept_with_the_suggestion(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    pane.prompt.setPlainText("Be brief.")
    with qtbot.waitSignals([pane.changed, pane.changed]):
        pane.suggest_for(SMALL)
    assert (pane.preset.currentText(), pane.prompt.toPlainText()) == ("Precise", "Be brief.")


def test_a_stored_chat_keeps_its_values(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    pane.show_conversation(Conversation("id", "Stored", preset=BALANCED.name))
    with qtbot.assertNotEmitted(pane.changed):
        pane.suggest_for(SMALL)
    assert pane.preset.currentText() == "Balanced"


def test_own_values_are_saved_as_a_preset_and_deleted_again(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    field = pane.findChild(PresetField)
    pane.numbers["temperature"].setValue(1.4)
    pane.numbers["max_tokens"].setValue(64)
    assert field.button.text() == "Save…"
    field.button.click()
    field.name.setText("  Wild   nights ")
    with qtbot.waitSignal(pane.changed, check_params_cb=lambda chat: chat.preset == "Wild nights"):
        qtbot.keyClick(field.name, Qt.Key.Key_Return)
    assert pane.preset.currentText() == "Wild nights"
    pane.show_conversation(NEW)
    pane.preset.setCurrentText("Wild nights")
    assert (pane.sampling().temperature, pane.sampling().max_tokens) == (1.4, 0)
    assert field.button.text() == "Delete"
    field.button.click()
    qtbot.waitUntil(lambda: pane.preset.findText("Wild nights") < 0)
    assert (pane.preset.currentText(), pane.sampling().temperature) == (CUSTOM, 1.4)


def test_a_name_that_comes_with_bantam_is_refused(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    with qtbot.waitSignal(pane.failed) as failed:
        pane.findChild(PresetField).save_wanted.emit("Precise")
    assert "comes with Bantam" in failed.args[0]


def test_escape_leaves_the_name(pane: ChatSettingsPane, qtbot: QtBot) -> None:
    pane.show()
    pane.activateWindow()
    pane.numbers["temperature"].setValue(1.4)
    field = pane.findChild(PresetField)
    field.button.click()
    qtbot.waitUntil(field.name.hasFocus)
    qtbot.keyClick(field.name, Qt.Key.Key_Escape)
    assert field.name.isHidden()
    assert pane.preset.isVisible()


def test_presets_that_come_with_bantam_offer_neither(pane: ChatSettingsPane) -> None:
    assert pane.findChild(PresetField).button.isHidden()
