"""Text as windows of token ids: what is trained on, and what is held out to tell whether it helped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.compress.calibration import CALIBRATION_TEXT, read_text
from app.errors import RecoverError
from app.measure.texts import EVALUATION_TEXT
from app.pruning import BUNDLED_TEXT, TEACHER_TEXT, Recover

HELD_OUT_WINDOWS = 16
_HELD_OUT_SHARE = 8
"""Of a text of the user's, each eighth stretch of windows is held out."""
_LEAST_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class Texts:
    """`[windows, length]` each. `training` is None where the teacher is to write it."""

    training: Tensor | None
    held_out: Tensor


def read_texts(request: Recover, tokenizer: Any, start: int | None) -> Texts:
    """Raises AppError, StorageError, RecoverError for a text that is missing, not UTF-8, empty or too short."""
    if request.text in (TEACHER_TEXT, BUNDLED_TEXT):
        held_out = _spread(_windows(EVALUATION_TEXT, request, tokenizer, start), HELD_OUT_WINDOWS)
        if request.text == TEACHER_TEXT:
            return Texts(None, held_out)
        return Texts(_windows(CALIBRATION_TEXT, request, tokenizer, start), held_out)
    windows = _windows(Path(request.text).expanduser(), request, tokenizer, start)
    # Every eighth window, so that a text of several parts is held out from each of them.
    chosen = torch.arange(len(windows)) % _HELD_OUT_SHARE == _HELD_OUT_SHARE // 2
    if not chosen.any():
        chosen[-1] = True
    return Texts(windows[~chosen], _spread(windows[chosen], HELD_OUT_WINDOWS))


def _windows(path: Path, request: Recover, tokenizer: Any, start: int | None) -> Tensor:
    """Whole windows of the text, each with `start` in place of its first token."""
    content = read_text(path).decode("utf-8")
    if not content.strip():
        raise RecoverError(f"The text {path.name} is empty.", "Give a text of some pages, or let the teacher write one.")
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
    """At most `wanted`, evenly over the text."""
    count = min(wanted, len(windows))
    return windows[[(2 * i + 1) * len(windows) // (2 * count) for i in range(count)]]


def order(windows: int, seed: int) -> Iterator[int]:
    """Numbers of windows without end, each once before any comes again, shuffled each time. The seed decides all."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(windows, generator=generator).tolist()


def start_token(tokenizer: Any) -> int | None:
    """The token that a text of this model begins with; None where texts begin without one."""
    bos = tokenizer.bos_token_id
    return bos if bos is not None and list(tokenizer("a").input_ids[:1]) == [bos] else None
