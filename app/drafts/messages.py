"""What is asked when a draft is made of a model itself, and what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from app.operation import Request
from app.recover.messages import SHORT_TOKENS, TEACHER_TEXT, RecoverMethod


@dataclass(frozen=True, slots=True)
class MakeDraft(Request):
    """Make a draft of the Hugging Face folder `source`: few of its layers, recovered by distillation, quantized.

    `target` is the GGUF of the same model that it is to draft for, and with which the gain is measured.
    """

    source: Path
    target: Path
    output: Path
    layers: int = 0
    """How many to keep; 0: what promises the largest gain."""
    type: str = "Q8_0"
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    method: RecoverMethod = RecoverMethod.FULL
    seed: int = 1
    threads: int = 0


@dataclass(frozen=True, slots=True)
class PlanDraft(Request):
    """What drafts of each number of layers promise: `draft` with any number. Reads headers alone."""

    draft: MakeDraft


@dataclass(frozen=True, slots=True)
class DraftOption:
    """A draft of so many layers. `cost` is its time for a token over the model's; `acceptance` is assumed."""

    layers: int
    cost: float
    acceptance: float
    speed_up: float


@dataclass(frozen=True, slots=True)
class DraftCost:
    """What making a draft takes, about. `problem` says why this computer cannot; "" otherwise."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    """The room taken on the way, at the most."""
    free_disk_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DraftsPlanned:
    """One option, and what it costs, for each number of layers below the model's own, the fewest first."""

    draft: MakeDraft
    options: tuple[DraftOption, ...]
    costs: tuple[DraftCost, ...]


@dataclass(frozen=True, slots=True)
class DraftMade:
    """The draft is there and, where it pays, chosen for its parent. Speed-ups are against plain decoding."""

    path: Path
    layers: int
    acceptance: float
    predicted_speed_up: float
    """The gain predicted from the sizes and an assumed acceptance, before anything was made."""
    speed_up: float
    """Measured in pairs of answers."""
    kl_before: float
    kl_after: float
    seconds: float


# What a draft made of a model is called, and from when on it pays. No engine here: the window asks too.


def workspace(request: MakeDraft) -> Path:
    """The work folder of this request alone: a window removes it when the user cancels."""
    asked = repr(dataclasses.replace(request, threads=0))
    return request.output.with_name(f".{request.output.name}.{hashlib.sha256(asked.encode()).hexdigest()[:12]}")


def default_draft(source: Path, type: str) -> Path:
    """Inside the source's folder: "name-draft-Q8_0.gguf"."""
    return source / f"{source.resolve().name}-draft-{type}.gguf"
