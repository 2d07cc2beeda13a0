"""A recipe: the steps that make a model smaller, in their order, as a value and as a TOML file.

    name = "Three quarters of the FFN, Q4"

    [[step]]
    prune = "ffn"
    amount = 0.25

    [[step]]
    recover = "lora"
    budget_tokens = 80_000

    [[step]]
    quantize = ["Q4_K_M"]
    calibrate = true
"""

from __future__ import annotations

from dataclasses import dataclass

from app.pruning import SHORT_TOKENS, TEACHER_TEXT, LayerImportance, PruneMethod, RecoverMethod


@dataclass(frozen=True, slots=True)
class PruneStep:
    """As app.pruning.Prune, without paths. `rounds` above 1 cut a part at a time, with a short recovery after each."""

    method: PruneMethod
    amount: float
    pattern: str = ""
    refit: bool = True
    width_multiple: int = 256
    per_layer: bool = False
    importance: LayerImportance = LayerImportance.COSINE
    rounds: int = 1
    round_tokens: int = 20_000
    """What each round but the last trains on."""
    rewind: str = ""
    """Folder of the same model early in its training; "" for none."""


@dataclass(frozen=True, slots=True)
class RecoverStep:
    """As app.pruning.Recover, without paths."""

    method: RecoverMethod = RecoverMethod.LORA
    budget_tokens: int = SHORT_TOKENS
    text: str = TEACHER_TEXT
    temperature: float = 1.0
    hard_loss: float = 0.0
    progressive: bool = False
    quantization_aware: str = ""
    rank: int = 16


@dataclass(frozen=True, slots=True)
class QuantizeStep:
    """The types of files to make at the end."""

    types: tuple[str, ...] = ("Q4_K_M",)
    calibrate: bool = True
    best: bool = False


Step = PruneStep | RecoverStep | QuantizeStep


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps in the order prune, recover, quantize; each optional, several of a kind allowed."""

    name: str
    steps: tuple[Step, ...] = ()
