"""Code in colours: Pygments' tokens as spans of five kinds, made lazily so that long code can be coloured in slices.

No Qt here. Loading a lexer takes up to 40 ms (it compiles its expressions): do it off the window's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound


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
