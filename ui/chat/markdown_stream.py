"""Markdown that arrives piece by piece, at a cost of its last block and not of the whole: finished blocks are frozen.

CommonMark is read line by line and only the last open block can still change, so whatever stands before the last
top-level block (or before the last item of a list) of the complete lines is final. The one exception is a link whose
definition comes later; `render` looks for definitions first, so the full rendering at the end knows them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token as MarkdownToken

STEP_CHARACTERS = 800
"""How much of a finished text is read at a time, so that reading a long one can be spread over the event loop."""
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*\S.*$", re.MULTILINE)
_FENCE = re.compile(r"(`{3,}|~{3,})([^`\n]*)\n")


@dataclass(frozen=True, slots=True)
class Change:
    """A change: from block number `first` on, the document is `blocks` now; what stands before is as it was."""

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


# Markdown as flat values that a text document can be built from: paragraphs, code and tables. No Qt, no HTML.
#
# Raw HTML stays the text it is, addresses other than http, https and mailto stay text, images become a link that names
# them. A document is a sequence of blocks that only grows at its end while an answer streams: see `markdown_stream`.


BARE_ADDRESS = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}]")
LINE_BREAK = "\u2028"
"""Qt's line separator: a new line in the same paragraph."""
_ALLOWED_ADDRESS = re.compile(r"(https?://|mailto:)[^\s]+", re.IGNORECASE)


class Style(IntFlag):
    """How a run of text looks."""

    PLAIN = 0
    BOLD = 1
    ITALIC = 2
    CODE = 4
    STRIKE = 8


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one look. `address` is where a link leads, http, https or mailto only."""

    text: str
    style: Style = Style.PLAIN
    address: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph. `heading` 1 to 6 or 0; `marker` is a bullet "•", a number "3." or "" for text without one."""

    runs: tuple[Run, ...]
    heading: int = 0
    indent: int = 0
    quote: int = 0
    marker: str = ""

    @property
    def text(self) -> str:
        """The words without their look."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


@dataclass(frozen=True, slots=True)
class Code:
    """Fenced or indented code. `language` as the fence names it, lower case, or ""."""

    text: str
    language: str = ""
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the first one the header. `alignment` a column: "left", "center", "right" or ""."""

    rows: tuple[tuple[tuple[Run, ...], ...], ...]
    alignment: tuple[str, ...]


Block = Paragraph | Rule | Code | Table


def is_allowed_address(address: str) -> bool:
    """Whether a link may lead there: http, https and mailto, nothing that runs or reads."""
    return _ALLOWED_ADDRESS.fullmatch(address.strip()) is not None


def make_parser() -> MarkdownIt:
    """CommonMark with tables and strike-through; raw HTML is text."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.validateLink = is_allowed_address  # type: ignore[method-assign, assignment]
    return parser


def to_blocks(tokens: Sequence[MarkdownToken], continued_number: int | None = None) -> tuple[Block, ...]:
    """The blocks of a parsed text. `continued_number` replaces the first number of a list that goes on from before."""
    return _Flattener(continued_number).flatten(tokens)


def runs_of(children: Iterable[MarkdownToken]) -> tuple[Run, ...]:
    """The runs of one inline token."""
    return _InlineReader().read(children)


@dataclass
class _List:
    number: int | None
    """The number of the next item, None for bullets."""


@dataclass
class _Flattener:
    continued_number: int | None
    blocks: list[Block] = field(default_factory=list)
    lists: list[_List] = field(default_factory=list)
    quote: int = 0
    marker: str = ""

    def flatten(self, tokens: Sequence[MarkdownToken]) -> tuple[Block, ...]:
        heading, index = 0, 0
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                index = self._table(tokens, index)
            elif token.type == "heading_open":
                heading = int(token.tag[1])
            elif token.type == "heading_close":
                heading = 0
            elif token.type == "inline":
                self._paragraph(runs_of(token.children or ()), heading)
            else:
                self._other(token)
            index += 1
        return tuple(self.blocks)

    def _other(self, token: MarkdownToken) -> None:
        match token.type:
            case "bullet_list_open":
                self._flush_marker()
                self.lists.append(_List(None))
            case "ordered_list_open":
                self._flush_marker()
                self.lists.append(_List(self._first_number(token)))
            case "bullet_list_close" | "ordered_list_close":
                self.lists.pop()
            case "list_item_open":
                self.marker = self._next_marker()
            case "list_item_close":
                self._flush_marker()
            case "blockquote_open":
                self.quote += 1
            case "blockquote_close":
                self.quote -= 1
            case "fence" | "code_block":
                self._flush_marker()
                language = token.info.split()[0].lower() if token.info.split() else ""
                self.blocks.append(Code(token.content.rstrip(), language, len(self.lists) + self.quote))
            case "hr":
                self._flush_marker()
                self.blocks.append(Rule())
            case _:
                pass

    def _paragraph(self, runs: tuple[Run, ...], heading: int) -> None:
        marker, self.marker = self.marker, ""
        self.blocks.append(Paragraph(runs, heading, len(self.lists), self.quote, marker))

    def _flush_marker(self) -> None:
        """An item whose first child is no paragraph still shows its marker."""
        if self.marker:
            self._paragraph((), 0)

    def _first_number(self, token: MarkdownToken) -> int:
        number, self.continued_number = self.continued_number, None
        return int(token.attrs.get("start", 1)) if number is None else number

    def _next_marker(self) -> str:
        current = self.lists[-1]
        if current.number is None:
            return "•"
        current.number += 1
        return f"{current.number - 1}."

    def _table(self, tokens: Sequence[MarkdownToken], index: int) -> int:
        """Read a table from its opening token; the index of its closing one."""
        self._flush_marker()
        rows: list[tuple[tuple[Run, ...], ...]] = []
        cells: list[tuple[Run, ...]] = []
        alignment: list[str] = []
        while tokens[index].type != "table_close":
            token = tokens[index]
            if token.type == "th_open":
                alignment.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
            elif token.type == "inline":
                cells.append(runs_of(token.children or ()))
            elif token.type == "tr_close":
                rows.append(tuple(cells))
                cells = []
            index += 1
        self.blocks.append(Table(tuple(rows), tuple(alignment)))
        return index


_STYLE_OF = {"strong": Style.BOLD, "em": Style.ITALIC, "s": Style.STRIKE}


@dataclass
class _InlineReader:
    style: Style = Style.PLAIN
    address: str = ""
    runs: list[Run] = field(default_factory=list)

    def read(self, children: Iterable[MarkdownToken]) -> tuple[Run, ...]:
        for token in children:
            self._read_one(token)
        return _joined(self.runs)

    def _read_one(self, token: MarkdownToken) -> None:
        match token.type:
            case "text":
                self._text(token.content)
            case "code_inline":
                self._add(token.content, Style.CODE)
            case "softbreak" | "hardbreak":
                # Models break lines where they mean a new line, so a soft break is one.
                self._add(LINE_BREAK)
            case "link_open":
                self.address = _address(token, "href")
            case "link_close":
                self.address = ""
            case "image":
                self._image(token)
            case _:
                self._toggle(token)

    def _toggle(self, token: MarkdownToken) -> None:
        kind, _, end = token.type.rpartition("_")
        if kind in _STYLE_OF:
            self.style = self.style | _STYLE_OF[kind] if end == "open" else self.style & ~_STYLE_OF[kind]
        elif token.content:
            self._add(token.content)

    def _image(self, token: MarkdownToken) -> None:
        """Named, never fetched: a model must not be able to make this machine ask another one for something."""
        source = _address(token, "src")
        name = "".join(child.content for child in token.children or ()) or source
        self.runs.append(Run(f"Image: {name}", self.style, self.address or source))

    def _text(self, text: str) -> None:
        if self.address or "://" not in text:
            self._add(text)
            return
        end = 0
        for found in BARE_ADDRESS.finditer(text):
            self._add(text[end : found.start()])
            self.runs.append(Run(found.group(), self.style, found.group()))
            end = found.end()
        self._add(text[end:])

    def _add(self, text: str, extra: Style = Style.PLAIN) -> None:
        if text:
            self.runs.append(Run(text, self.style | extra, self.address))


def _address(token: MarkdownToken, name: str) -> str:
    address: Any = token.attrs.get(name, "")
    return str(address) if is_allowed_address(str(address)) else ""


def _joined(runs: list[Run]) -> tuple[Run, ...]:
    """Neighbours of one look as one run."""
    joined: list[Run] = []
    for run in runs:
        if joined and (joined[-1].style, joined[-1].address) == (run.style, run.address):
            joined[-1] = replace(run, text=joined[-1].text + run.text)
        else:
            joined.append(run)
    return tuple(joined)
