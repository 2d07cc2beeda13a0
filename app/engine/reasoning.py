"""Tells an answer's reasoning from the answer, by the marks that families of models put around it.

The marks are those of the models' own chat templates: `<think>` (DeepSeek, Qwen and many others), `[THINK]` (Mistral),
`<seed:think>` (Seed-OSS), `<|START_THINKING|>` (Cohere), `<|inner_prefix|>` (Apertus), `<|channel>thought` (Gemma 4),
and the channels of OpenAI's Harmony format (gpt-oss, cookbook.openai.com/articles/openai-harmony).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.engine.messages import Message, Role

MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
)
"""The mark that opens a piece of reasoning and the one that closes it."""

_OPENING = re.compile(r"\s*(?:" + "|".join(re.escape(opening) for opening, _ in MARKS) + ")")
_CLOSING = re.compile("|".join(re.escape(closing) for _, closing in MARKS))
_AROUND_ANSWERS = re.compile(r"<\|START_(?:RESPONSE|TEXT)\|>|<\|END_(?:RESPONSE|TEXT)\|>")
"""Cohere's marks around the answer itself."""

HARMONY_CHANNEL = "<|channel|>"
_HARMONY = re.compile(r"<\|channel\|>(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_HARMONY_END = re.compile(r"<\|(?:end|return|call|start)\|>")


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
    if text.lstrip().startswith(HARMONY_CHANNEL):
        return _split_channels(text)
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    closing = _CLOSING.search(text, start)
    if closing is not None and opening is None and _is_text(text, closing.start()):
        closing = None
    if closing is not None:
        return Parts(text[start : closing.start()].strip("\n"), _without_marks(text[closing.end() :].lstrip("\n")))
    if opening is not None:
        return Parts(text[start:].strip("\n"), "", ended=False)
    return Parts("", text)


def answer_message(text: str) -> Message:
    """The answer of this `text` as a message of the conversation, with its reasoning apart."""
    parts = split_reasoning(text)
    return Message(Role.ASSISTANT, parts.answer, parts.reasoning)


def _split_channels(text: str) -> Parts:
    """Harmony: what is in the channel "final" is the answer, and all others are on the way to it."""
    marks = list(_HARMONY.finditer(text))
    if not marks:
        return Parts("", text)
    thoughts: list[str] = []
    answers: list[str] = []
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        piece = text[mark.end() : after.start() if after is not None else len(text)]
        end = _HARMONY_END.search(piece)
        (answers if mark[1] == "final" else thoughts).append(piece[: end.start()] if end is not None else piece)
    return Parts("\n".join(thoughts).strip("\n"), "\n".join(answers), ended=bool(answers))


def _without_marks(answer: str) -> str:
    return _AROUND_ANSWERS.sub("", answer)


def _is_text(text: str, at: int) -> bool:
    """Whether a closing mark here, without one that opens the answer, is only text: in code, or opened on the way."""
    before = text[:at]
    in_code = before.count("```") % 2 == 1 or before.rpartition("\n")[2].count("`") % 2 == 1
    return in_code or "<think" in before or any(opening in before for opening, _ in MARKS)
