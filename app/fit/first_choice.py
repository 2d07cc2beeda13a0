"""Which model to begin with on this computer, told without a network from rounded facts of the list that is shipped.

The exact verdict comes from the file's own header, when the repository is opened. Here the need is taken too high.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.engine.messages import MachineSpeed
from app.fit.judgement import MemoryBudget, ReadProfile, TypeBytes, main_type
from app.fit.speed import predicted_ms
from app.fit.verdict import ms_text
from app.hub.repository import ModelFormat, RepositorySummary
from app.system.files import read_json
from app.system.paths import RESOURCES
from app.units import size_text

_BESIDE_BYTES = 700_000_000
"""Buffers, the vocabulary and the engine itself: more than any of the list takes."""
_COMFORT = 0.75
"""A share of the target: the first answers should not be at the edge of what can be read along."""


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


# Good first models for this computer: a short list kept as data, shown before anything is searched, offline too.


MEMORY_CLASSES_GB = (4, 8, 16, 32)
_CLOSE = 0.85
"""A computer sold with 8 GB shows 7.4 to 7.8 of them to programs."""


@dataclass(frozen=True, slots=True)
class LikelyFile:
    """About the file that most people take: rounded facts that are known without a network."""

    label: str
    size_bytes: int
    read_bytes: int
    """What a token reads of it; of a mixture of experts the active part."""
    kv_bytes_per_token: int
    """The size with a KV cache of 16 bits. Sliding windows are not counted: more than it will be."""
    layers: int


@dataclass(frozen=True, slots=True)
class FirstModel:
    """A repository and, in one sentence, why it is in the list."""

    summary: RepositorySummary
    why: str
    memory_gb: tuple[int, ...]
    file: LikelyFile

    @property
    def name(self) -> str:
        """ "Qwen3 4B" of "Qwen3-4B-GGUF"."""
        return self.summary.name.removesuffix("-GGUF").removesuffix("-it").removesuffix("-Instruct").replace("-", " ")


def memory_class_gb(total_bytes: int) -> int:
    """The largest class that this computer has the memory of; the smallest for less."""
    fitting = [gb for gb in MEMORY_CLASSES_GB if total_bytes >= gb * _CLOSE * 1e9]
    return max(fitting, default=MEMORY_CLASSES_GB[0])


def first_models(total_bytes: int) -> tuple[FirstModel, ...]:
    """Those for a computer with so much memory, in the order of the list."""
    wanted = memory_class_gb(total_bytes)
    return tuple(model for model in all_first_models() if wanted in model.memory_gb)


@cache
def all_first_models() -> tuple[FirstModel, ...]:
    """The whole list, as it is shipped."""
    return tuple(
        FirstModel(
            RepositorySummary(one["id"], (ModelFormat.GGUF,), parameters=one["parameters"], license=one["license"]),
            one["why"],
            tuple(one["memory_gb"]),
            _file(one["file"]),
        )
        for one in read_json(RESOURCES / "first_models.json")["models"]
    )


def _file(facts: Any) -> LikelyFile:
    size, read = (int(float(facts[name]) * 1e9) for name in ("gigabytes", "read_gigabytes"))
    return LikelyFile(facts["label"], size, read, facts["kv_bytes_per_token"], facts["layers"])
