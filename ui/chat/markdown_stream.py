"""Markdown that arrives piece by piece, at a cost of its last block and not of the whole: finished blocks are frozen.

CommonMark is read line by line and only the last open block can still change, so whatever stands before the last
top-level block (or before the last item of a list) of the complete lines is final. The one exception is a link whose
definition comes later; `render` looks for definitions first, so the full rendering at the end knows them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markdown_it.token import Token as MarkdownToken

from ui.chat.markdown_blocks import Block, Code, make_parser, to_blocks

STEP_CHARACTERS = 800
"""How much of a finished text is read at a time, so that reading a long one can be spread over the event loop."""
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*\S.*$", re.MULTILINE)
_FENCE = re.compile(r"(`{3,}|~{3,})([^`\n]*)\n")


@dataclass(frozen=True, slots=True)
class Change:
    """From block `first` on, the document is now `blocks`; what stands before is as it was."""

    first: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _OpenList:
    """The list that the tail goes on with: its kind, and the number of its next item (None for bullets)."""

    markup: str
    number: int | None


class MarkdownStream:
    """Feed it text; it says which blocks changed. `characters_parsed` counts the work, for tests."""

    def __init__(self, definitions: str = "") -> None:
        self.characters_parsed = 0
        self._parser = make_parser()
        self._references: dict[str, Any] = {}
        self._parse(definitions)
        self._text = ""
        self._tail_start = 0
        self._checked = 0
        self._frozen = 0
        self._list: _OpenList | None = None

    @property
    def text(self) -> str:
        """All that was fed."""
        return self._text

    def feed(self, text: str) -> Change:
        """Take `text` in, and say what changed."""
        first = self._frozen
        return Change(first, self.take(text) + self._tail_blocks())

    def take(self, text: str) -> tuple[Block, ...]:
        """Take `text` in, and give only the blocks that became final."""
        self._text += text
        finished = self._freeze()
        self._frozen += len(finished)
        return finished

    def finish(self) -> Change:
        """No more text comes: read the tail as it stands, a fence that was never closed included."""
        tokens = self._parse(self._text[self._tail_start :])
        return Change(self._frozen, to_blocks(tokens, self._continued_number(tokens)))

    def _freeze(self) -> tuple[Block, ...]:
        """The blocks that became final with the newest complete line."""
        end = self._text.rfind("\n") + 1
        if end <= max(self._checked, self._tail_start):
            return ()
        self._checked = end
        complete = self._text[self._tail_start : end]
        if self._is_open_fence(complete):
            return ()
        tokens = self._parse(complete)
        cut = _last_start(tokens)
        if cut <= 0:
            return ()
        start = _offset_of_line(complete, cut)
        number = self._continued_number(tokens)
        finished = _tokens_before(tokens, cut)
        blocks = to_blocks(finished, number)
        self._list = _open_list(tokens, cut, number)
        self._tail_start += start
        return blocks

    def _tail_blocks(self) -> tuple[Block, ...]:
        tail = self._text[self._tail_start :]
        if self._is_open_fence(tail):
            return (_open_code(tail),)
        tokens = self._parse(tail)
        return to_blocks(tokens, self._continued_number(tokens))

    def _continued_number(self, tokens: list[MarkdownToken]) -> int | None:
        if self._list is None or not tokens or tokens[0].markup != self._list.markup:
            return None
        return self._list.number if tokens[0].type == "ordered_list_open" else None

    def _is_open_fence(self, tail: str) -> bool:
        """A fence that is still open holds all that follows: nothing needs parsing until it closes."""
        opened = _FENCE.match(tail)
        if opened is None:
            return False
        fence = opened.group(1)
        return re.search(rf"^ {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*$", tail[opened.end() :], re.MULTILINE) is None

    def _parse(self, text: str) -> list[MarkdownToken]:
        self.characters_parsed += len(text)
        return self._parser.parse(text, self._references)


def render(text: str) -> Iterator[tuple[Block, ...]]:
    """The blocks of a finished text, a step at a time, in order: together they equal one single parse of everything."""
    stream = MarkdownStream("\n".join(_DEFINITION.findall(text)) if "]:" in text else "")
    start = 0
    while start < len(text):
        end = text.find("\n", start + STEP_CHARACTERS) + 1 or len(text)
        yield stream.take(text[start:end])
        start = end
    yield stream.finish().blocks


def render_all(text: str) -> tuple[Block, ...]:
    """The blocks of a finished text."""
    return tuple(block for step in render(text) for block in step)


def _open_code(tail: str) -> Code:
    opened = _FENCE.match(tail)
    assert opened is not None
    words = opened.group(2).split()
    body = tail[opened.end() :]
    # A last line that may become the closing fence is not shown as code.
    last = body[body.rfind("\n") + 1 :]
    if last and set(last.strip()) == {opened.group(1)[0]}:
        body = body[: len(body) - len(last)]
    return Code(body.rstrip(), words[0].lower() if words else "")


def _last_start(tokens: list[MarkdownToken]) -> int:
    """The line at which the last top-level block starts, or the last item where that block is a list."""
    tops = [token for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
    if not tops:
        return 0
    last = tops[-1]
    if not last.type.endswith("_list_open"):
        return _start(last)
    items = [t for t in tokens if t.type == "list_item_open" and t.level == 1 and t.map and _start(t) >= _start(last)]
    return _start(items[-1]) if items else _start(last)


def _tokens_before(tokens: list[MarkdownToken], line: int) -> list[MarkdownToken]:
    """The tokens of what ends before `line`; a list that is cut there is closed."""
    kept: list[MarkdownToken] = []
    for token in tokens:
        if token.level <= 1 and token.nesting >= 0 and token.map and _start(token) >= line:
            break
        kept.append(token)
    if kept and kept[-1].type == "list_item_close" and kept[-1].level == 1:
        opened = next(t for t in reversed(kept) if t.level == 0 and t.type.endswith("_list_open"))
        kept.append(MarkdownToken(opened.type.replace("open", "close"), opened.tag, -1))
    return kept


def _open_list(tokens: list[MarkdownToken], line: int, number: int | None) -> _OpenList | None:
    """The list that `line` cuts, with the number its next item takes."""
    tops = [(i, token) for i, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0 and token.map]
    index, last = tops[-1]
    if not last.type.endswith("_list_open") or _start(last) == line:
        return None
    if last.type == "bullet_list_open":
        return _OpenList(last.markup, None)
    before = [t for t in tokens if t.type == "list_item_open" and t.level == 1 and _start(last) <= _start(t) < line]
    first = number if index == 0 and number is not None else int(last.attrs.get("start", 1))
    return _OpenList(last.markup, first + len(before))


def _start(token: MarkdownToken) -> int:
    return token.map[0] if token.map else 0


def _offset_of_line(text: str, line: int) -> int:
    offset = 0
    for _ in range(line):
        offset = text.index("\n", offset) + 1
    return offset
