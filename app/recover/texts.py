"""Text as windows of token ids: what is trained on, and what is held out to tell whether it helped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.engine.messages import Message, Role
from app.engine.template import ChatTemplate
from app.errors import Cancelled, RecoverError, TemplateError
from app.measure.texts import EVALUATION_TEXT, choose_windows
from app.operation import Progress, Report, ShouldStop, Stage
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.recover.language_model import LanguageModel
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, Recover

HELD_OUT_WINDOWS = 16
_HELD_OUT_SHARE = 8
"""A share: of a text of the user's each eighth window is held out."""
_LEAST_WINDOWS = 4
_BUNDLED_SHARE = 4
"""Where the teacher writes the text, one part in so many is bundled text: other languages and subjects, of which a
teacher says little by itself, would be unlearned without it (tests/benchmarks/README.md)."""


@dataclass(frozen=True, slots=True)
class Texts:
    """`[windows, length]` each. Where `written_tokens` is above 0, the teacher is to write that many more of them."""

    training: Tensor
    held_out: Tensor
    written_tokens: int = 0

    def with_written(self, windows: Tensor) -> Texts:
        """The texts with the teacher's text, of which a few windows, from all of its parts, are held out."""
        chosen = torch.zeros(len(windows), dtype=torch.bool)
        chosen[choose_windows(len(windows), HELD_OUT_WINDOWS // 2)] = True
        training = torch.cat([windows[~chosen], self.training])
        return Texts(training, torch.cat([windows[chosen], self.held_out]))


def read_texts(request: Recover, tokenizer: Any, start: int | None) -> Texts:
    """Raises AppError, StorageError, RecoverError for a text that is missing, not UTF-8, empty or too short."""
    if request.text in (TEACHER_TEXT, BUNDLED_TEXT):
        training = _windows(CALIBRATION_TEXT, request, tokenizer, start)
        held_out = _windows(EVALUATION_TEXT, request, tokenizer, start)
        if request.text == BUNDLED_TEXT:
            return Texts(training, _spread(held_out, HELD_OUT_WINDOWS))
        share = request.budget_tokens // _BUNDLED_SHARE
        bundled = _spread(training, max(1, share // request.context_tokens))
        return Texts(bundled, _spread(held_out, HELD_OUT_WINDOWS // 2), max(1, request.budget_tokens - share))
    windows = _windows(Path(request.text).expanduser(), request, tokenizer, start)
    # Windows from all over it, so that a text of several parts is held out from each of them.
    chosen = torch.arange(len(windows)) % _HELD_OUT_SHARE == _HELD_OUT_SHARE // 2
    chosen[-1] |= not chosen.any()
    return Texts(windows[~chosen], _spread(windows[chosen], HELD_OUT_WINDOWS))


def _windows(path: Path, request: Recover, tokenizer: Any, start: int | None) -> Tensor:
    """Whole windows of the text, each with `start` in place of its first token."""
    content = read_text(path).decode("utf-8")
    if not content.strip():
        raise RecoverError(
            f"The text {path.name} is empty.", "Give a text of some pages, or let the teacher write one."
        )
    tokens = tokenizer(content, add_special_tokens=False, verbose=False).input_ids
    length = request.context_tokens
    count = len(tokens) // length
    if count < _LEAST_WINDOWS:
        raise RecoverError(
            f"The text {path.name} is too short: it has {len(tokens):,} tokens, "
            f"and {_LEAST_WINDOWS} windows of {length} are needed at least.",
            "Take a longer text, a shorter window, or let the teacher write the text.",
        )
    windows = torch.tensor(tokens[: count * length]).view(count, length)
    if start is not None:
        windows[:, 0] = start
    return windows


def _spread(windows: Tensor, wanted: int) -> Tensor:
    return windows[choose_windows(len(windows), wanted)]


def order(windows: int, seed: int) -> Iterator[int]:
    """Numbers of windows without end, each once before any comes again, shuffled each time. The seed decides all."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(windows, generator=generator).tolist()


def start_token(tokenizer: Any) -> int | None:
    """The token that a text of this model begins with; None where texts begin without one."""
    bos = tokenizer.bos_token_id
    return bos if bos is not None and list(tokenizer("a").input_ids[:1]) == [bos] else None


# What the teacher is given to go on from: nothing, the opening of a chat, or the beginning of a passage.


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


# Text that the teacher writes itself, to learn from: no data set is needed, and it is what the teacher knows.
#
# Recover-LoRA (arXiv 2510.08600), LLM-QAT (arXiv 2305.17888). Sampled plainly, at temperature 1 and without filters:
# the divergence is to be small where the teacher's own probability lies.


BATCH = 32
"""Windows written at the same time: weights are read once for all of them."""


class Writer:
    """Writes windows in batches, each with a seed of its own, so that an interrupted job goes on where it was."""

    def __init__(self, teacher: LanguageModel, openings: list[Tensor], end: set[int], length: int, seed: int) -> None:
        """`end` are the tokens after which a new text begins, with the first opening."""
        self._teacher, self._openings, self._end = teacher, openings, end
        self._length, self._seed = length, seed
        if not openings:
            raise RecoverError(
                "This model's tokenizer has no token that a text begins with, so it cannot write one.",
                "Use the bundled text, or one of your own.",
            )

    @torch.no_grad()
    def batch(self, number: int, stop: ShouldStop, length: int = 0) -> Tensor:
        """`[BATCH, length]` token ids: the kinds of openings take turns. Raises Cancelled, RecoverError."""
        length = length or self._length
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        kind = self._openings[number % len(self._openings)]
        tokens = kind[torch.randint(len(kind), (BATCH,), generator=generator)][:, :length]
        written, cache = [tokens], None
        restart = torch.full((BATCH,), int(self._openings[0][0, 0]))
        for _ in range(length - tokens.shape[1]):
            if stop():
                raise Cancelled
            logits, cache = self._next(tokens, cache)
            drawn = _draw(logits, generator)
            ended = torch.tensor([token in self._end for token in tokens[:, -1].tolist()])
            tokens = torch.where(ended, restart, drawn)[:, None]
            written.append(tokens)
        return torch.cat(written, dim=1)

    def _next(self, tokens: Tensor, cache: Any) -> tuple[Tensor, Any]:
        output = self._teacher.model.base_model(input_ids=tokens, past_key_values=cache, use_cache=True)
        return self._teacher.logits(output.last_hidden_state[:, -1]), output.past_key_values


def _draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    probabilities = logits.softmax(-1)
    if not torch.isfinite(probabilities).all():
        raise RecoverError(
            "The teacher computes values that are not numbers.", "Check its files, or take another version of it."
        )
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def write_text(writer: Writer, tokens: int, file: Path, report: Report, stop: ShouldStop) -> Tensor:
    """About `tokens` of text in windows. What an earlier run left in `file` is kept, and each batch is added there."""
    windows = load_file(file)["windows"] if file.is_file() else None
    begun = time.monotonic()
    done_before = done = 0 if windows is None else windows.numel()
    while windows is None or done < tokens:
        spent, new = time.monotonic() - begun, done - done_before
        report(Progress(Stage.WRITE_TEXT, done, tokens, spent / new * (tokens - done) if new else 0.0))
        batch = writer.batch(0 if windows is None else len(windows) // BATCH, stop)
        windows = batch if windows is None else torch.cat([windows, batch])
        done = windows.numel()
        part = file.with_name(file.name + ".part")
        save_file({"windows": windows}, part)
        part.replace(file)
    report(Progress(Stage.WRITE_TEXT, tokens, tokens))
    return windows
