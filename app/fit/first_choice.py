"""Which model to begin with on this computer, told without a network from rounded facts of the list that is shipped.

The exact verdict comes from the file's own header, when the repository is opened. Here the need is taken too high.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.engine.messages import MachineSpeed
from app.fit.advice import ms_text
from app.fit.judgement import MemoryBudget, ReadProfile, TypeBytes, main_type
from app.fit.speed import predicted_ms
from app.hub.first_models import FirstModel, all_first_models, first_models
from app.units import size_text

_BESIDE_BYTES = 700_000_000
"""Buffers, the vocabulary and the engine itself: more than any of the list takes."""
_COMFORT = 0.75
"""Of the target: the first answers should not be at the edge of what can be read along."""


@dataclass(frozen=True, slots=True)
class FirstChoice:
    """A model to begin with. Without a measured speed `ms_per_token` is None."""

    model: FirstModel
    need_bytes: int
    fits_now: bool
    ms_per_token: float | None = None

    @property
    def sentence(self) -> str:
        """What it takes, in a line."""
        fits = "fits" if self.fits_now else "fits once other programs are closed"
        speed = "" if self.ms_per_token is None else f" and should take about {ms_text(self.ms_per_token)} a token"
        return f"A download of {size_text(self.model.file.size_bytes)}; it {fits}{speed}."


@dataclass(frozen=True, slots=True)
class FirstSuggestion:
    """What every page says to a beginner: `models` for this computer, the one of `choice` first."""

    models: tuple[FirstModel, ...]
    choice: FirstChoice | None


def suggest(
    total_bytes: int, context_tokens: int, budget: MemoryBudget, speed: MachineSpeed | None, target_ms: float
) -> FirstSuggestion:
    """The list for a computer with so much memory, and which of it to take first.

    With a measured speed the choice is among all models: on a slow computer one of a smaller class may be right.
    """
    models = first_models(total_bytes)
    choice = first_choice(all_first_models() if speed is not None else models, context_tokens, budget, speed, target_ms)
    if choice is not None:
        models = (choice.model, *(model for model in models if model != choice.model))
    return FirstSuggestion(models, choice)


def first_choice(
    models: Iterable[FirstModel],
    context_tokens: int,
    budget: MemoryBudget,
    speed: MachineSpeed | None,
    target_ms: float,
) -> FirstChoice | None:
    """The largest that fits now and is comfortably quick; else the quickest that fits now; else the smallest that fits
    with other programs closed. None where nothing does.
    """
    choices = [choice for model in models if (choice := _judge(model, context_tokens, budget, speed)) is not None]
    now = [choice for choice in choices if choice.fits_now]
    quick = [choice for choice in now if (choice.ms_per_token or 0) <= target_ms * _COMFORT]
    if quick and speed is not None:
        return max(quick, key=lambda choice: choice.model.summary.parameters)
    return min(now or choices, key=lambda choice: choice.ms_per_token or choice.need_bytes, default=None)


def _judge(
    model: FirstModel, context_tokens: int, budget: MemoryBudget, speed: MachineSpeed | None
) -> FirstChoice | None:
    file = model.file
    kv_bytes = context_tokens * file.kv_bytes_per_token
    need = file.size_bytes + kv_bytes + _BESIDE_BYTES
    if need > budget.machine_bytes:
        return None
    reads = ReadProfile((TypeBytes(main_type(file.label), file.read_bytes),), file.layers)
    ms = predicted_ms(reads, kv_bytes // 2, speed) if speed is not None else None
    return FirstChoice(model, need, need <= budget.now_bytes, ms)
