"""The sheet of a chat's settings."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.chat.presets import CREATIVE, PRECISE, SamplingPreset
from app.engine.messages import Sampling
from ui.chat.sampling_panel import CUSTOM, SamplingPanel


@pytest.fixture
def panel(qtbot: QtBot) -> SamplingPanel:
    panel = SamplingPanel()
    qtbot.addWidget(panel)
    return panel


def test_it_shows_what_it_is_given_and_says_nothing(panel: SamplingPanel, qtbot: QtBot) -> None:
    sampling = Sampling(temperature=0.3, seed=7, stop=("a\nb", "<|im_end|>", "\\n"), max_tokens=64)
    with qtbot.assertNotEmitted(panel.sampling_changed), qtbot.assertNotEmitted(panel.system_prompt_changed):
        panel.show_values("Be brief.", sampling, "")
        panel.flush()
    assert panel.sampling() == sampling
    assert panel.preset.currentText() == CUSTOM


def test_a_preset_sets_the_taste_and_keeps_the_rest(panel: SamplingPanel, qtbot: QtBot) -> None:
    panel.show_values("", Sampling(seed=7, stop=("x",), max_tokens=64), "Balanced")
    with qtbot.waitSignal(panel.sampling_changed) as changed:
        panel.preset.setCurrentText("Creative")
    sampling, name = changed.args
    assert name == "Creative"
    assert (sampling.temperature, sampling.top_k) == (CREATIVE.sampling.temperature, CREATIVE.sampling.top_k)
    assert (sampling.seed, sampling.stop, sampling.max_tokens) == (7, ("x",), 64)


def test_own_values_are_no_preset(panel: SamplingPanel, qtbot: QtBot) -> None:
    panel.show_values("", PRECISE.sampling, "Precise")
    with qtbot.waitSignal(panel.sampling_changed) as changed:
        panel.numbers["temperature"].setValue(1.4)
    assert changed.args[1] == ""
    assert panel.preset.currentText() == CUSTOM


def test_values_of_a_preset_are_named(panel: SamplingPanel) -> None:
    panel.show_values("", PRECISE.sampling, "")
    assert panel.preset.currentText() == "Precise"


def test_own_presets_are_offered(panel: SamplingPanel) -> None:
    panel.set_own_presets((SamplingPreset("Mine", Sampling(temperature=0.9)),))
    panel.show_values("", Sampling(temperature=0.9), "Mine")
    assert panel.preset.currentText() == "Mine"


def test_what_waits_for_a_pause_belongs_to_the_chat_that_is_left(panel: SamplingPanel, qtbot: QtBot) -> None:
    panel.show_values("", Sampling(), "Balanced")
    panel.prompt.setPlainText("For the first")
    with qtbot.waitSignal(panel.system_prompt_changed) as changed:
        panel.show_values("second", Sampling(), "Balanced")
    assert changed.args == ["For the first"]
    assert panel.prompt.toPlainText() == "second"


def test_a_seed_is_digits_only(panel: SamplingPanel, qtbot: QtBot) -> None:
    qtbot.keyClicks(panel.seed, "1x²2")
    assert panel.sampling().seed == 12
