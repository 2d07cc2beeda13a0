"""A repository's model card as plain text: Markdown's marks, HTML, pictures and addresses are left out."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from app.errors import HubError
from app.hub.endpoint import Hub
from app.hub.transport import Call, Transport, check_status

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_CARD_BYTES = 2_000_000
MAX_TEXT = 100_000
_FRONT_MATTER = re.compile(r"\A\s*---\s*\n.*?\n---\s*(?:\n|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?:!--.*?--|/?[A-Za-z][^<>]*)>", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def model_card(hub: Hub, repository: str, revision: str = "main", call: Call | None = None) -> str:
    """The card as text; "" where there is none. Raises HubError, OfflineError, Cancelled."""
    with (
        Transport(hub, call) as transport,
        transport.stream("GET", hub.file_url(repository, revision, "README.md")) as response,
    ):
        if response.status_code == 404:
            return ""
        check_status(response, hub)
        try:
            return plain_text(transport.read(response, MAX_CARD_BYTES).decode("utf-8", "replace"))
        except RecursionError as error:
            raise HubError("The model card is nested too deeply to be shown.") from error


def plain_text(card: str) -> str:
    """The text of a card in Markdown, MAX_TEXT characters at most."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", card[: 3 * MAX_TEXT]))
    text = re.sub(r"\n{3,}", "\n\n", "".join(map(_block, tokens))).strip()
    text = _NOT_TEXT.sub("", text)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n…"


def _block(token: Token) -> str:
    if token.type == "inline":
        return _inline(token)
    if token.type in ("fence", "code_block"):
        return token.content + "\n"
    if token.type == "html_block":
        text = _without_tags(token.content).strip()
        return text + "\n\n" if text else ""
    ends = {"paragraph_close": "\n" if token.hidden else "\n\n", "heading_close": "\n\n", "tr_close": "\n"}
    ends |= {"th_close": "   ", "td_close": "   ", "bullet_list_close": "\n", "ordered_list_close": "\n", "hr": "\n"}
    return ends.get(token.type, "• " if token.type == "list_item_open" else "")


def _inline(token: Token) -> str:
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type.endswith("break") or child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)


def _without_tags(markup: str) -> str:
    return html.unescape(_TAG.sub("", markup))
