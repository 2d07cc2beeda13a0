"""Reasoning and answer of a text that may still be written: as in `app.engine.reasoning`, but for half a mark."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.reasoning import HARMONY_CHANNEL, MARKS, split_reasoning

_OPENING = (*(opening for opening, _ in MARKS), HARMONY_CHANNEL)
_CLOSING = (*(closing for _, closing in MARKS), "<|end|>", "<|start|>")


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
    for start in (text.rfind("<"), text.rfind("[")):
        if start >= 0 and any(tag.startswith(text[start:]) for tag in tags):
            return text[:start]
    return text
