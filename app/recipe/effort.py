"""How long pruning and recovery take, before either is begun: multiplications, over how many are done here a second.

The rate is what was measured in the last run of the same kind here; before any, a cautious guess, and the plan says
that it is one.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.convert.configuration import Config
from app.prune.messages import LayerImportance, Prune, PruneMethod
from app.recipe.words import Shape
from app.recover.messages import TEACHER_TEXT, Recover
from app.system.files import read_object, update_json
from app.system.hardware import physical_cores


class Work(StrEnum):
    """What has a rate of its own."""

    PRUNE = "prune"
    RECOVER = "recover"


_GUESSED_A_CORE = {Work.PRUNE: 2.5e10, Work.RECOVER: 1.2e10}
"""Multiplications a second in float32. Measured with torch on one core: 6.7e10 for a forward pass of 0.5 B weights,
2.0e10 for a step of training with its teacher; laptops are slower, and so is anything small."""
_LEAST_SECONDS = 5.0
"""Loading libraries and opening files."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Multiplications a second, and whether that was measured here."""

    rate: float
    measured: bool

    def seconds(self, multiplications: float) -> float:
        """How long so many take."""
        return _LEAST_SECONDS + multiplications / self.rate


def read_pace(book: Path, work: Work) -> Pace:
    """The pace that was kept, from the file `book` (Paths.effort), which may be missing or damaged."""
    rate = _read(book).get(work.value, 0.0)
    return Pace(rate, True) if rate else Pace(_GUESSED_A_CORE[work] * physical_cores(), False)


def remember_pace(book: Path, work: Work, multiplications: float, seconds: float) -> None:
    """The last run counts. One that cannot be written is lost silently: the next run measures it again."""
    spent = seconds - _LEAST_SECONDS
    if spent < _LEAST_SECONDS or multiplications <= 0:
        return  # too short to say anything
    with contextlib.suppress(OSError):
        update_json(book, lambda stored: stored | {work.value: multiplications / spent})


def prune_multiplications(request: Prune, config: Config, shape: Shape, parameters: int) -> float:
    """The multiplications of `request` on a model of that shape: passes of the text through all layers, and the sums
    and fits of each.
    """
    tokens = request.chunks * min(request.context_tokens, config.context)
    passes = tokens * parameters
    heads = shape.kv_groups * shape.heads_a_group * config.head
    if request.method in (PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE):
        return 2.0 * parameters
    if request.method is PruneMethod.LAYERS:
        leave_out = request.importance is LayerImportance.LEAVE_OUT
        return passes * (shape.layers / 8 if leave_out else 1.0)
    columns = {
        PruneMethod.FFN: [shape.ffn] if request.refit else [],
        PruneMethod.KV_GROUPS: [heads],
        PruneMethod.SPARSEGPT: [config.width, config.width, heads, shape.ffn],
        PruneMethod.WANDA: [],
    }[request.method]
    sums = sum(tokens * n**2 + 2.0 * n**3 for n in columns)  # Gram matrix, factorisation and solution
    if request.method is PruneMethod.FFN and request.refit_gate_up:
        sums += tokens * _fits_in_turn(config.width, shape.ffn, round(shape.ffn * (1 - request.amount)))
    if request.method is PruneMethod.SPARSEGPT:
        sums += parameters / shape.layers * max(columns)  # each column's error is spread over those after it
    return (3 if request.per_layer else 2) * passes + shape.layers * sums


def _fits_in_turn(width: int, ffn: int, kept: int) -> float:
    """The multiplications of each token in one block, by `app.prune.refit`: two rounds of two fits by gradients, each
    of 18
    products with a matrix of the FFN in three steps, and one of the down projection.
    """
    return 3.0 * width * ffn + 2 * (42.0 * width * kept + kept**2)


def recover_multiplications(request: Recover, parameters: int, teacher_parameters: int) -> float:
    """The multiplications of the training (forward, backward and the teacher), of the text that the teacher writes,
    of the readings.
    """
    training = request.budget_tokens * (3.0 * parameters + teacher_parameters)
    if request.method == "full":
        training += request.budget_tokens * parameters
    written = 2.0 * request.budget_tokens * teacher_parameters if request.text == TEACHER_TEXT else 0.0
    return training + written


def _read(book: Path) -> dict[str, float]:
    return {name: float(rate) for name, rate in read_object(book).items() if _is_rate(rate)}


def _is_rate(rate: object) -> bool:
    return isinstance(rate, (int, float)) and not isinstance(rate, bool) and math.isfinite(rate) and rate > 0
