"""What the sheet of a chat's settings suggests and stores."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.chat.conversation import Conversation
from app.chat.presets import BALANCED, CREATIVE, PRECISE
from ui.pages.chat_settings_pane import ChatSettingsPane
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
