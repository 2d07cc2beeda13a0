"""The composer: its keys, its height, its meter."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from ui.chat.composer import Composer, Mode


@pytest.fixture
def composer(qtbot: QtBot, theme: object) -> Composer:
    composer = Composer()
    qtbot.addWidget(composer)
    composer.resize(800, 100)
    composer.show()
    return composer


def test_enter_sends_and_keeps_the_text(composer: Composer, qtbot: QtBot) -> None:
    composer.set_text("hello")
    with qtbot.waitSignal(composer.send_wanted) as sent:
        qtbot.keyClick(composer.field, Qt.Key.Key_Return)
    assert sent.args == ["hello"]
    assert composer.text == "hello"


@pytest.mark.parametrize("text", ["", "  \n "])
def test_nothing_is_not_sent(composer: Composer, qtbot: QtBot, text: str) -> None:
    composer.set_text(text)
    with qtbot.assertNotEmitted(composer.send_wanted):
        qtbot.keyClick(composer.field, Qt.Key.Key_Return)
    assert not composer.button.isEnabled()


def test_it_grows_to_eight_lines_and_no_further(composer: Composer) -> None:
    heights = []
    for lines in (1, 2, 8, 9, 40):
        composer.set_text("\n".join(["line"] * lines))
        heights.append(composer.field.height())
    assert heights[0] < heights[1] < heights[2] == heights[3] == heights[4]


def test_a_long_line_grows_it_too(composer: Composer) -> None:
    one = composer.field.height()
    composer.set_text("words and words " * 30)
    assert composer.field.height() > one


def test_up_edits_only_from_the_empty_field(composer: Composer, qtbot: QtBot) -> None:
    with qtbot.waitSignal(composer.edit_last_wanted):
        qtbot.keyClick(composer.field, Qt.Key.Key_Up)
    composer.set_text("text")
    with qtbot.assertNotEmitted(composer.edit_last_wanted):
        qtbot.keyClick(composer.field, Qt.Key.Key_Up)


def test_the_button_stops_while_an_answer_is_written(composer: Composer, qtbot: QtBot) -> None:
    composer.set_mode(Mode.STOP)
    with qtbot.waitSignal(composer.stop_wanted):
        composer.button.click()
    composer.set_text("next")
    with qtbot.assertNotEmitted(composer.send_wanted):
        qtbot.keyClick(composer.field, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("tokens", "words", "role"),
    [
        (None, "– of 4,096 tokens", "caption"),
        (1240, "1,240 of 4,096 tokens", "caption"),
        (3600, "Nearly full: 3,600 of 4,096 tokens", "warning"),
        (5000, "Too long, the oldest messages will be left out: 5,000 of 4,096 tokens", "danger"),
    ],
)
def test_the_meter(composer: Composer, tokens: int | None, words: str, role: str) -> None:
    composer.set_meter(tokens, 4096)
    assert composer.meter.text() == words
    assert composer.meter.property("role") == role


def test_tab_leaves_the_field(composer: Composer, qtbot: QtBot) -> None:
    composer.set_text("text")
    composer.field.setFocus()
    qtbot.keyClick(composer.field, Qt.Key.Key_Tab)
    assert not composer.field.hasFocus()
    assert composer.text == "text"
