"""The way from a conversation to token ids: the template, what must be left out to fit, what the KV cache already
holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.llama import Model
from app.engine.messages import Message, Role
from app.engine.template import CHATML, FALLBACK_STOP, PLAIN, WAY_OUT, ChatTemplate
from app.errors import ContextError, TemplateError


@dataclass(frozen=True, slots=True)
class Prompt:
    """`tokens[:reused]` are in the KV cache already. `left_out_messages` of the oldest did not fit."""

    tokens: tuple[int, ...]
    reused: int
    left_out_messages: int
    notice: str = ""
    """What else of the conversation the model does not see, a sentence; "" where it sees all of it."""


class PromptBuilder:
    """Builds prompts for one model."""

    def __init__(self, model: Model) -> None:
        """Takes the model's template; without one, ChatML where the vocabulary has its markers, else plain labels."""
        self._model = model
        self._bos = model.piece(model.bos).decode("utf-8", "replace") if model.bos >= 0 else ""
        self.stop_strings: tuple[str, ...] = ()
        source = model.chat_template
        self.has_template = bool(source)
        if not source:
            source = CHATML if self._knows_chatml() else PLAIN
            self.stop_strings = FALLBACK_STOP if source is PLAIN else ()
        eos = model.piece(model.eos).decode("utf-8", "replace") if model.eos >= 0 else ""
        self._template = ChatTemplate(source, bos=self._bos, eos=eos)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the prompt in tokens. Raises TemplateError."""
        return len(self._tokenize(self._template.render(messages)))

    def build(self, messages: Sequence[Message], cached: Sequence[int], limit: int) -> Prompt:
        """The prompt of at most `limit` tokens whose beginning agrees with the `cached` ids as far as it can.

        The oldest messages after the system prompt are left out, whole turns at a time, until it fits. Raises
        ContextError when the last message alone is too long, and TemplateError, also for a prompt without a token.
        """
        ways = _shorter_and_shorter(messages)
        made: dict[int, tuple[list[int], int, str]] = {}

        def fits(way: int) -> bool:
            made[way] = self._make(ways[way][1], cached)
            return len(made[way][0]) <= limit

        # By halves: of a conversation of 200 long messages, one way after the other would take many seconds.
        way = 0 if fits(0) else bisect_left(range(len(ways)), True, lo=1, key=fits)
        if way < len(ways):
            tokens, reused, notice = made[way]
            return Prompt(tuple(tokens), min(reused, len(tokens) - 1), ways[way][0], notice)
        raise ContextError(
            f"The message is too long: it takes {len(made[way - 1][0]):,} tokens, "
            f"and the context has room for {limit:,}.",
            "Shorten the message, or choose a larger context in the settings.",
        )

    def _make(self, messages: Sequence[Message], cached: Sequence[int]) -> tuple[list[int], int, str]:
        text, notice = self._template.render_noting(messages)
        tokens, reused = self._reuse(text, cached)
        if not tokens:
            raise TemplateError("The model's chat template made an empty prompt.", WAY_OUT)
        return tokens, reused, notice

    def _reuse(self, text: str, cached: Sequence[int]) -> tuple[list[int], int]:
        """Token ids of `text`, and how many of them are the `cached` ones.

        An answer tokenised again does not always give the ids that were generated, so the ids in the cache are kept
        where their text is the beginning of `text`, and only the rest is tokenised. Where the cache and the text part,
        the cut goes back to the last control token: tokens do not merge across those, so the rest is split as the
        whole would be.
        """
        data = text.encode("utf-8", "replace")
        position = matched = cut = cut_position = 0
        for index, token in enumerate(cached):
            is_added_bos = index == 0 and token == self._model.bos and not text.startswith(self._bos)
            piece = b"" if is_added_bos else self._model.piece(token)
            if not data.startswith(piece, position):
                break
            position += len(piece)
            matched = index + 1
            if self._model.is_control(token):
                cut, cut_position = matched, position
        if matched == len(cached) and _is_whole_text(data, position):
            cut, cut_position = matched, position
        if not cut:
            return self._tokenize(text), 0
        rest = data[cut_position:].decode("utf-8", "replace")
        return [*cached[:cut], *self._model.tokenize(rest, add_bos=False)], cut

    def _tokenize(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_bos=not (self._bos and text.startswith(self._bos)))

    def _knows_chatml(self) -> bool:
        return all(len(self._model.tokenize(mark, add_bos=False)) == 1 for mark in ("<|im_start|>", "<|im_end|>"))


def _is_whole_text(data: bytes, position: int) -> bool:
    """Whether `position` is not inside a character."""
    return position == len(data) or data[position] & 0xC0 != 0x80


def _shorter_and_shorter(messages: Sequence[Message]) -> list[tuple[int, list[Message]]]:
    """Every way to leave out the oldest turns, fewest first: (messages left out, messages kept)."""
    system = [m for m in messages[:1] if m.role is Role.SYSTEM]
    rest = list(messages[len(system) :])
    starts = [0, *(i for i, m in enumerate(rest) if i > 0 and m.role is Role.USER)]
    return [(start, system + rest[start:]) for start in starts]
