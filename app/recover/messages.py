"""What is asked of recovering a pruned model, and what it gained. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Request


class RecoverMethod(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    QLORA = "qlora"
    """LoRA over weights held in 4 bits: less memory, not less time."""
    FULL = "full"


SHORT_TOKENS = 80_000


OVERNIGHT_TOKENS = 1_000_000


TEACHER_TEXT, BUNDLED_TEXT = "teacher", "bundled"


@dataclass(frozen=True, slots=True)
class Recover(Request):
    """Train the pruned folder `model` to answer as `teacher` does, and write the result to the new folder `output`.

    The loss is the forward KL divergence of the logits (Minitron, arXiv 2407.14679), of which `hard_loss` is replaced
    by the cross-entropy of the text. Zeros of a sparse model stay zeros. A result that is worse on held-out text than
    the model was is not kept: then the operation raises RecoverError and nothing is written.
    """

    model: Path
    teacher: Path
    output: Path
    method: RecoverMethod = RecoverMethod.LORA
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    """TEACHER_TEXT (written by the teacher itself, with a quarter of bundled text), BUNDLED_TEXT, or a text's path."""
    temperature: float = 1.0
    hard_loss: float = 0.0
    progressive: bool = False
    """Whether it goes in steps: short windows first, the whole length at the end."""
    quantization_aware: str = ""
    """"Q4_0": train on the grid of that type (straight-through estimator); "" for none."""
    rank: int = 16
    learning_rate: float = 0.0
    """0: what suits the method."""
    context_tokens: int = 256
    batch_windows: int = 2
    """The windows of a step: with budgets this short more steps are worth more than smoother ones."""
    seed: int = 1
    threads: int = 0
    or_keep: bool = False
    """Where the result is no better, `output` becomes the model as it was, and a Notice says so: for a recipe."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The recovered folder is there. KL divergences are to the teacher on held-out text, in nats.

    With `quantization_aware` they are of the two models as that type's files would hold them.
    """

    path: Path
    recipe: str
    tokens: int
    kl_before: float
    kl_after: float
    perplexity_teacher: float
    perplexity_before: float
    perplexity_after: float
    seconds: float
    peak_resident_bytes: int


@dataclass(frozen=True, slots=True)
class PlanRecovery(Request):
    """What `recover` would take: one step is run and timed. Nothing is written."""

    recover: Recover


@dataclass(frozen=True, slots=True)
class RecoveryPlanned:
    """Measured on this machine, now."""

    seconds: float
    peak_resident_bytes: int
    trained_parameters: int
