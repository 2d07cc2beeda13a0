"""What the teacher is given to go on from: nothing, the opening of a chat, or the beginning of a passage."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from app.engine.messages import Message, Role
from app.engine.template import ChatTemplate
from app.errors import TemplateError
from app.quantize.calibration import CALIBRATION_TEXT

BEGINNING_TOKENS = 8
_MARK = "\u2063question\u2063"


def openings_of(tokenizer: Any, start: int | None) -> list[Tensor]:
    """`[choices, length]` for each kind. `start` is the token that a text begins with, if there is one.

    A chat is opened up to where the user speaks: a model that was trained on conversations writes the question too
    (Magpie, arXiv 2406.08464).
    """
    found = [] if start is None else [[[start]]]
    if chat := _chat_opening(tokenizer):
        found.append([chat])
    if beginnings := _beginnings(tokenizer, start):
        found.append(beginnings)
    return [torch.tensor(kind) for kind in found]


def _chat_opening(tokenizer: Any) -> list[int]:
    source = getattr(tokenizer, "chat_template", None)
    if not isinstance(source, str):
        return []
    try:
        template = ChatTemplate(source, bos=tokenizer.bos_token or "", eos=tokenizer.eos_token or "")
        before, mark, _ = template.render([Message(Role.USER, _MARK)]).partition(_MARK)
    except TemplateError:
        return []
    return list(tokenizer(before, add_special_tokens=False).input_ids) if mark else []


def _beginnings(tokenizer: Any, start: int | None) -> list[list[int]]:
    """The first tokens of the bundled text's paragraphs."""
    first = [] if start is None else [start]
    paragraphs = CALIBRATION_TEXT.read_text(encoding="utf-8").split("\n\n")
    heads = [list(tokenizer(text[:200], add_special_tokens=False).input_ids) for text in paragraphs]
    return [first + head[:BEGINNING_TOKENS] for head in heads if len(head) >= BEGINNING_TOKENS]
