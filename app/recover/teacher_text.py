"""Text that the teacher writes itself, to learn from: no data set is needed, and it is what the teacher knows.

Recover-LoRA (arXiv 2510.08600), LLM-QAT (arXiv 2305.17888). Sampled plainly, at temperature 1 and without filters: the
divergence is to be small where the teacher's own probability lies.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.errors import Cancelled, RecoverError
from app.operation import Progress, Report, ShouldStop, Stage
from app.recover.language_model import LanguageModel

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
