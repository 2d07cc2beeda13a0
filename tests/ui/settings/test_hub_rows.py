"""The row for the access token says where a token is kept, and where that is nowhere."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from tests.ui.fake_hub import FakeHub
from ui.settings.page import SpeedRow, TokenRow


def row_of(hub: FakeHub, qtbot: QtBot) -> TokenRow:
    hub.forget_token = lambda: None  # type: ignore[attr-defined]
    row = TokenRow(hub)  # type: ignore[arg-type]
    qtbot.addWidget(row)
    return row


def test_without_a_keyring_service_it_is_said_before_a_token_is_given(qtbot: QtBot) -> None:
    hub = FakeHub()
    row = row_of(hub, qtbot)
    assert row.state.text() == "No token is kept."
    hub.has_keyring = False
    hub.token_changed.emit(False, "")
    assert "no keyring service" in row.state.text()
    assert "forgotten when Bantam ends" in row_of(hub, qtbot).state.text()


def test_without_a_keyring_service_a_token_can_be_used(qtbot: QtBot) -> None:
    hub = FakeHub()
    hub.has_keyring = False
    row = row_of(hub, qtbot)
    row.field.setText("hf_abc")
    row.save.click()
    assert hub.tokens == ["hf_abc"]
    hub.token_changed.emit(True, "The token of me is kept until Bantam ends, because this system has no keyring.")
    assert "until Bantam ends" in row.state.text()


def test_the_speed_of_this_computer_is_said_in_sentences(qtbot: QtBot) -> None:
    row = SpeedRow(FakeHub().speed)  # type: ignore[arg-type]
    qtbot.addWidget(row)
    assert row.state.text() == (
        "It goes through this much of a model in a second: 38 GB in Q4_K, 38 GB in Q8_0 (measured on 2026-01-01). "
        "Half of the last 14 answers came within 8 % of the time predicted."
    )
