"""Words without an end are broken anywhere, before they are laid out; other texts between words."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QTextOption

from ui.chat.composer import ComposerField
from ui.chat.markdown_stream import Paragraph, Run
from ui.chat.prose_view import PlainView, ProseView
from ui.widgets.elided_label import LONGEST_WORD, wrap_mode

ANYWHERE = QTextOption.WrapMode.WrapAnywhere
BETWEEN_WORDS = QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
ENDLESS = "See this: " + "x" * 20 * LONGEST_WORD
LONG = "word " * 20 * LONGEST_WORD

texts = pytest.mark.parametrize(("text", "mode"), [(ENDLESS, ANYWHERE), (LONG, BETWEEN_WORDS), ("", BETWEEN_WORDS)])


@texts
def test_mode(text: str, mode: QTextOption.WrapMode) -> None:
    assert wrap_mode(text) is mode


@texts
def test_message_of_the_user(qtbot, theme, text: str, mode: QTextOption.WrapMode) -> None:
    view = PlainView(text)
    qtbot.addWidget(view)
    assert view.wordWrapMode() is mode
    assert view.toPlainText() == text


def test_answer_that_grows_into_one(qtbot, theme) -> None:
    view = ProseView()
    qtbot.addWidget(view)
    view.replace_from(0, [Paragraph((Run(LONG),))])
    assert view.wordWrapMode() is BETWEEN_WORDS
    view.replace_from(1, [Paragraph((Run(ENDLESS),))])
    assert view.wordWrapMode() is ANYWHERE


def test_composer_knows_before_it_lays_out_what_is_pasted(qtbot, theme) -> None:
    field = ComposerField()
    qtbot.addWidget(field)
    seen = []
    field.document().contentsChange.connect(lambda *_: seen.append(field.wordWrapMode()))
    pasted = QMimeData()
    pasted.setText(ENDLESS)
    field.insertFromMimeData(pasted)
    field.setPlainText("short again")
    assert set(seen) == {ANYWHERE}  # also while the long text leaves
    assert field.wordWrapMode() is BETWEEN_WORDS
