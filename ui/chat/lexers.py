"""Lexers for code, loaded in a thread when a language is first met: compiling their expressions takes up to 40 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygments.lexer import Lexer
from PySide6.QtCore import QObject

from ui.chat.code_highlight import find_lexer
from ui.chat.code_view import LexerCallback

if TYPE_CHECKING:
    from workers.tasks import TaskRunner


class LexerShelf(QObject):
    """`request` answers at once for a language that is known, later for a new one."""

    def __init__(self, tasks: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._lexers: dict[str, Lexer | None] = {}
        self._waiting: dict[str, list[LexerCallback]] = {}

    def request(self, language: str, callback: LexerCallback) -> None:
        """Call `callback` with the lexer of `language`, or None where there is none."""
        if language in self._lexers:
            callback(self._lexers[language])
            return
        waiting = self._waiting.setdefault(language, [])
        waiting.append(callback)
        if len(waiting) == 1:
            self._tasks.run(_find, language, on_result=self._on_found)

    def _on_found(self, found: tuple[str, Lexer | None]) -> None:
        language, lexer = found
        self._lexers[language] = lexer
        for callback in self._waiting.pop(language, []):
            callback(lexer)


def _find(language: str) -> tuple[str, Lexer | None]:
    return language, find_lexer(language)
