"""Text as windows of token ids: what is trained on, and what is held out to tell whether it helped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.errors import RecoverError
from app.measure.texts import EVALUATION_TEXT, choose_windows
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, Recover

HELD_OUT_WINDOWS = 16
_HELD_OUT_SHARE = 8
"""Of a text of the user's, each eighth window is held out."""
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
        """With the teacher's text, of which a few windows, from all of its parts, are held out."""
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
