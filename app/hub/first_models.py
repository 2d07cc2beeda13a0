"""Good first models for this computer: a short list kept as data, shown before anything is searched, offline too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from app.hub.repository import ModelFormat, RepositorySummary
from app.system.files import read_json
from app.system.paths import RESOURCES

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
    """With a KV cache of 16 bits. Sliding windows are not counted: more than it will be."""
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
