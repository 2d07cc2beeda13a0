"""A piece of code: its language, a Copy button, colours that arrive in slices, sideways scrolling for long lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakMethod

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QFontMetrics,
    QGuiApplication,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QLabel, QPlainTextEdit, QToolButton, QWidget

from ui.chat.markdown_stream import Code
from ui.look.icons import set_icon
from ui.look.theme import tokens

if TYPE_CHECKING:
    from workers.tasks import TaskRunner


HEADER = 30
PADDING = 10
_SPANS_A_STEP = 40
_CURSOR = 6
"""Room the editor keeps at the end of its longest line."""
_STEP_S = 0.004
_COPIED_MS = 1500

LexerCallback = Callable[[Lexer | None], None]
RequestLexer = Callable[[str, LexerCallback], None]
"""Asks for the lexer of a language; the answer may come later, on the window's thread."""


class SpanHighlighter(QSyntaxHighlighter):
    """Colours lines by the spans it was given."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self.lines: dict[int, list[tuple[int, int, Kind]]] = {}
        self._formats = {kind: QTextCharFormat() for kind in Kind}
        self.take_colours()

    def take_colours(self) -> None:
        """Take the colours from the theme in force."""
        for kind, form in self._formats.items():
            form.setForeground(QColor(getattr(tokens(), kind.value)))

    def highlightBlock(self, text: str) -> None:
        """Called by Qt for each line that changed."""
        for start, length, kind in self.lines.get(self.currentBlock().blockNumber(), ()):
            self.setFormat(start, length, self._formats[kind])


class CodeText(QPlainTextEdit):
    """The text itself, read-only. The transcript scrolls it up and down."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "code")
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.document().setDocumentMargin(0)
        self.viewport().setAutoFillBackground(False)
        self.viewport().setCursor(Qt.CursorShape.IBeamCursor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Sideways here, up and down in the transcript."""
        sideways = event.angleDelta().x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if sideways and self.horizontalScrollBar().maximum():
            super().wheelEvent(event)
        else:
            event.ignore()


class CodeView(QFrame):
    """Shows one block of code. `work` colours it until a deadline; it can be given longer code at any time."""

    def __init__(self, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._request_lexer = request_lexer
        self._language: str | None = None
        self._lexer: Lexer | None = None
        self._text = ""
        self._line_starts = [0]
        self._widest = 0
        self._spans: list[Span] = []
        self._iterator: Iterator[Span] | None = None
        self._next_line = 0
        self._fresh: dict[int, list[tuple[int, int, Kind]]] = {}
        self._editor = CodeText(self)
        self._highlighter = SpanHighlighter(self._editor.document())
        self._title = QLabel(self)
        self._title.setProperty("role", "caption")
        self._copy = self._make_copy_button()

    @property
    def text(self) -> str:
        """The code shown."""
        return self._text

    def set_code(self, code: Code) -> None:
        """Show `code`; where it only got longer, only what is new is written."""
        if code.language != self._language:
            self._set_language(code.language)
        old = self._text
        if code.text == old:
            return
        if old and code.text.startswith(old):
            self._append(code.text[len(old) :])
        else:
            self._write_all(code.text)
        self._start_colouring(restart_line(self._text, self._spans, len(old)) if old else 0)

    def finish(self) -> None:
        """No more code comes: colour it from the start, without the guesses made while it grew."""
        self._start_colouring(0)

    def work(self, deadline: float) -> bool:
        """Colour until `deadline` (perf_counter seconds); True when done."""
        while self._iterator is not None and perf_counter() < deadline:
            step = list(islice(self._iterator, _SPANS_A_STEP))
            if len(step) < _SPANS_A_STEP:
                self._iterator = None
            self._colour(step)
        return self._iterator is None

    def arrange(self, width: int) -> int:
        """Place the parts for `width`; the height they take."""
        room = width - 2 * PADDING
        bar = self._widest + _CURSOR > room
        height = QFontMetrics(self._editor.font()).lineSpacing() * len(self._line_starts) + 2
        height += self._editor.horizontalScrollBar().sizeHint().height() if bar else 0
        self._title.setGeometry(PADDING + 2, 0, room // 2, HEADER)
        size = self._copy.sizeHint()
        self._copy.setGeometry(width - size.width() - 4, (HEADER - size.height()) // 2 + 1, size.width(), size.height())
        self._editor.setGeometry(PADDING, HEADER, room, height)
        return HEADER + height + PADDING

    def _make_copy_button(self) -> QToolButton:
        button = QToolButton(self)
        button.setText(" Copy")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        set_icon(button, "copy", "text_secondary", 14)
        button.clicked.connect(self._on_copy)
        return button

    def _set_language(self, language: str) -> None:
        self._language = language
        self._title.setText(language or "text")
        self._copy.setAccessibleName(f"Copy {language} code" if language else "Copy code")
        self._editor.setAccessibleName(f"{language} code" if language else "Code")
        if language:
            reference = WeakMethod(self._on_lexer)
            self._request_lexer(language, lambda lexer: (method := reference()) and method(lexer))

    def _on_lexer(self, lexer: Lexer | None) -> None:
        self._lexer = lexer
        self._start_colouring(0)
        self._colour_on()

    def _colour_on(self) -> None:
        """A lexer can come when the message is done and nobody calls `work` any more."""
        if not self.work(perf_counter() + _STEP_S):
            QTimer.singleShot(0, self, self._colour_on)

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
        self._copy.setText(" Copied")
        QTimer.singleShot(_COPIED_MS, self._copy, lambda: self._copy.setText(" Copy"))

    def _write_all(self, text: str) -> None:
        self._text, self._line_starts, self._widest = "", [0], 0
        self._spans.clear()
        self._highlighter.lines.clear()
        self._editor.clear()
        self._append(text)

    def _append(self, text: str) -> None:
        offset = len(self._text)
        self._text += text
        lines = text.split("\n")
        for line in lines[:-1]:
            offset += len(line) + 1
            self._line_starts.append(offset)
        first = self._text[self._line_starts[-len(lines)] :].split("\n", 1)[0]
        metrics = QFontMetrics(self._editor.font())
        self._widest = max(self._widest, *map(metrics.horizontalAdvance, (first, *lines[1:])))
        cursor = QTextCursor(self._editor.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def _start_colouring(self, start: int) -> None:
        if self._lexer is None:
            return
        while self._spans and self._spans[-1].start + self._spans[-1].length > start:
            self._spans.pop()
        self._next_line, self._fresh = self._line_of(start), {}
        self._iterator = spans(self._lexer, self._text, start)

    def _colour(self, step: list[Span]) -> None:
        for span in step:
            self._spans.append(span)
            for line, piece in self._pieces(span):
                self._fresh.setdefault(line, []).append(piece)
        ended = self._iterator is None
        self._settle_lines(len(self._line_starts) if ended or not step else self._line_of(step[-1].start))

    def _settle_lines(self, end: int) -> None:
        """No more spans come for the lines before `end`: draw those that changed."""
        document, known = self._editor.document(), self._highlighter.lines
        for line in range(self._next_line, end):
            pieces = self._fresh.pop(line, [])
            if pieces != known.get(line, []):
                known[line] = pieces
                self._highlighter.rehighlightBlock(document.findBlockByNumber(line))
        self._next_line = max(self._next_line, end)

    def _pieces(self, span: Span) -> Iterator[tuple[int, tuple[int, int, Kind]]]:
        """A span as parts of single lines."""
        start, end = span.start, span.start + span.length
        line = self._line_of(start)
        while start < end:
            next_start = self._line_starts[line + 1] if line + 1 < len(self._line_starts) else len(self._text) + 1
            stop = min(end, next_start - 1)
            if stop > start:
                yield line, (start - self._line_starts[line], stop - start, span.kind)
            start, line = next_start, line + 1

    def _line_of(self, offset: int) -> int:
        return bisect_right(self._line_starts, offset) - 1


# Lexers for code, loaded in a thread when a language is first met: compiling their expressions takes up to 40 ms.


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


# Code in colours: Pygments' tokens as spans of five kinds, made lazily so that long code can be coloured in slices.
#
# No Qt here. Loading a lexer takes up to 40 ms (it compiles its expressions): do it off the window's thread.


class Kind(StrEnum):
    """What a span is; the value is the colour token of the theme."""

    KEYWORD = "code_keyword"
    STRING = "code_string"
    COMMENT = "code_comment"
    NUMBER = "code_number"
    FUNCTION = "code_function"


@dataclass(frozen=True, slots=True)
class Span:
    """`length` characters from `start` that are of one kind."""

    start: int
    length: int
    kind: Kind


_KINDS = (
    (Comment, Kind.COMMENT),
    (String, Kind.STRING),
    (Number, Kind.NUMBER),
    (Operator.Word, Kind.KEYWORD),
    (Keyword, Kind.KEYWORD),
    (Name.Function, Kind.FUNCTION),
    (Name.Class, Kind.FUNCTION),
    (Name.Builtin, Kind.FUNCTION),
    (Name.Decorator, Kind.FUNCTION),
    (Name.Tag, Kind.KEYWORD),
    (Name.Attribute, Kind.FUNCTION),
)
RESTART_CHARACTERS = 1200
_PLAIN = frozenset(("", "text", "txt", "plain", "plaintext", "output", "none"))


def find_lexer(language: str) -> Lexer | None:
    """The lexer for a fence's language, or None where there is none."""
    if language.lower() in _PLAIN:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, stripall=False, ensurenl=False)
    except ClassNotFound:
        return None


def spans(lexer: Lexer, text: str, start: int = 0) -> Iterator[Span]:
    """The coloured spans of `text` from `start`, which should be a line that stands on its own."""
    for offset, kind_of_token, value in lexer.get_tokens_unprocessed(text[start:]):
        kind = _kind_of(kind_of_token)
        if kind is not None and value.strip():
            yield Span(start + offset, len(value), kind)


@cache
def _kind_of(token_type: _TokenType) -> Kind | None:
    return next((kind for token, kind in _KINDS if token_type in token), None)


def restart_line(text: str, spans_so_far: list[Span], before: int) -> int:
    """Where colouring may start again when text is added at `before`: the last line that starts in the first column and
    outside of strings and comments, or one not too far back. A guess that the full pass at the end makes good.
    """
    floor = max(0, text.rfind("\n", 0, max(0, before - RESTART_CHARACTERS)) + 1)
    end = text.rfind("\n", 0, before)
    while end >= max(floor, 1):
        line = end + 1
        if _stands_out(text, line) and not any(_covers(span, line) for span in reversed(spans_so_far[-64:])):
            return line
        end = text.rfind("\n", 0, end)
    return floor


def _stands_out(text: str, line: int) -> bool:
    return line < len(text) and not text[line].isspace() and text[line] not in ")]}\"'`#*/"


def _covers(span: Span, line: int) -> bool:
    """Whether the line at offset `line` begins inside of `span`. A string of many lines has a span for each."""
    if span.start == line:
        return span.kind in (Kind.STRING, Kind.COMMENT)
    return span.start < line < span.start + span.length
