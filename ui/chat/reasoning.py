"""Reasoning and answer of a text that may still be written: `app.chat.reasoning`, but for tags that are half there."""

from __future__ import annotations

from dataclasses import dataclass

from app.chat.reasoning import split_reasoning

_OPENING = ("<think>", "<thinking>", "<reasoning>")
_CLOSING = ("</think>", "</thinking>", "</reasoning>")


@dataclass(frozen=True, slots=True)
class Parts:
    """`reasoning` is None where there is none. `share` of the text, 0 to 1, is reasoning."""

    reasoning: str | None
    answer: str
    closed: bool = True
    share: float = 0.0


def split(text: str, live: bool = False) -> Parts:
    """The reasoning and the answer of `text`. A `live` one does not show the beginning of a tag as text."""
    parts = split_reasoning(text)
    if not parts.ended:
        return Parts(_without_partial(parts.reasoning, _CLOSING) if live else parts.reasoning, "", False, 1.0)
    if parts.reasoning:
        return Parts(parts.reasoning, parts.answer, True, 1 - len(parts.answer) / len(text))
    if live and any(tag.startswith(text.strip()) for tag in _OPENING):
        return Parts(None, "")
    return Parts(None, parts.answer)


def _without_partial(text: str, tags: tuple[str, ...]) -> str:
    start = text.rfind("<")
    return text[:start] if start >= 0 and any(tag.startswith(text[start:]) for tag in tags) else text
