"""One block of code and its colours."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from pygments.lexers import PythonLexer
from pytestqt.qtbot import QtBot

from tests.ui.chat.chat_steps import colours
from ui.chat.code_view import CodeView
from ui.chat.markdown_stream import Code


def test_a_lexer_that_comes_late_still_colours(qtbot: QtBot) -> None:
    asked: list[Callable[[Any], None]] = []
    view = CodeView(lambda _language, give: asked.append(give))
    qtbot.addWidget(view)
    view.set_code(Code("def f(): return None\n" * 500, "python"))
    view.finish()
    assert view.work(perf_counter() + 60)
    assert not any(colours(view))
    asked[0](PythonLexer())
    qtbot.waitUntil(lambda: all(colours(view)[:500]))
