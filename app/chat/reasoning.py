"""Tells an answer's reasoning from the answer: text between <think> and </think> at its beginning."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENING = re.compile(r"\s*<(think|thinking|reasoning)>")
_CLOSING = re.compile(r"</(think|thinking|reasoning)>")


@dataclass(frozen=True, slots=True)
class Parts:
    """An answer in two. `reasoning` is "" where there is none; `ended` is False while it is still being written."""

    reasoning: str
    answer: str
    ended: bool = True


def split_reasoning(text: str) -> Parts:
    """The reasoning and the answer of `text`.

    The opening mark may be missing: some chat templates end the prompt with it. Marks in a code block are text.
    """
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    closing = _CLOSING.search(text, start)
    if closing is not None and opening is None and _is_text(text, closing.start()):
        closing = None
    if closing is not None:
        return Parts(text[start : closing.start()].strip("\n"), text[closing.end() :].lstrip("\n"))
    if opening is not None:
        return Parts(text[start:].strip("\n"), "", ended=False)
    return Parts("", text)


def _is_text(text: str, at: int) -> bool:
    """Whether a closing mark here, without one that opens the answer, is only text: in code, or opened on the way."""
    before = text[:at]
    in_code = before.count("```") % 2 == 1 or before.rpartition("\n")[2].count("`") % 2 == 1
    return in_code or "<think" in before or "<reasoning>" in before
