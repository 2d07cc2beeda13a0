"""Markdown as flat values that a text document can be built from: paragraphs, code and tables. No Qt, no HTML.

Raw HTML stays the text it is, addresses other than http, https and mailto stay text, images become a link that names
them. A document is a sequence of blocks that only grows at its end while an answer streams: see `markdown_stream`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token as MarkdownToken

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
    parser.validateLink = is_allowed_address  # type: ignore[method-assign]
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
