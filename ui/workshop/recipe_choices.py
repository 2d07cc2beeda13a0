"""What a recipe's fields offer for one model: widths that run well, counts of layers and groups, as shares and back."""

from __future__ import annotations

from collections.abc import Iterable

from app.errors import PruneError
from app.library.safetensors import FolderFacts
from app.prune import ffn_widths
from app.prune.messages import SPARSE, PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, RecoverStep, Step
from ui.workshop.recipe_words import PRUNE, QUANTIZE, RECOVER, kind_of

GOOD_MULTIPLE, LEAST_MULTIPLE = ffn_widths.BLOCK, ffn_widths.LEAST_MULTIPLE
_SHARES = (1 / 8, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 5 / 8, 3 / 4)
_FEW = 8
"""So many multiples are all offered; of more, those near plain shares."""
_KEPT_LAYERS = 2
_ORDER = (PRUNE, RECOVER, QUANTIZE)
_AMOUNTS = {PruneMethod.FFN: 0.25, PruneMethod.KV_GROUPS: 0.25, PruneMethod.LAYERS: 0.125}


def first_step(method: PruneMethod) -> PruneStep:
    """A prune step as it begins: a quarter of a width, an eighth of the layers, half of the weights to zero."""
    return PruneStep(method, _AMOUNTS.get(method, 0.5))


def new_step(kind: str) -> Step:
    """A step of this kind as it begins."""
    steps: dict[str, Step] = {PRUNE: first_step(PruneMethod.FFN), RECOVER: RecoverStep(), QUANTIZE: QuantizeStep()}
    return steps[kind]


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Prune, recover, quantize; of a kind as they came."""
    return tuple(sorted(steps, key=lambda step: _ORDER.index(kind_of(step))))


def widths(full: int, multiple: int) -> tuple[int, ...]:
    """FFN widths to offer below `full`, the widest first; none where the model is too narrow for that multiple."""
    possible = ffn_widths.widths(full, multiple)
    if len(possible) <= _FEW:
        return tuple(possible)
    return tuple(sorted({width_of(full, share, multiple) for share in _SHARES}, reverse=True))


def width_of(full: int, amount: float, multiple: int) -> int:
    """The width that is left of `full` when `amount` is taken, as pruning will choose it; 0 where there is none."""
    try:
        return ffn_widths.width_for(full, amount, multiple)
    except PruneError:
        return 0


def count_of(full: int, amount: float, most: int) -> int:
    """How many of `full` layers or groups are taken: one at least."""
    return max(1, min(most, round(full * amount)))


def most_taken(method: PruneMethod, facts: FolderFacts) -> int:
    """How many layers or KV groups can be taken at most; 0 where none can."""
    if method is PruneMethod.LAYERS:
        return max(0, facts.layers - _KEPT_LAYERS)
    return max(0, facts.kv_heads - 1)


def prune_problem(step: PruneStep, facts: FolderFacts | None) -> str:
    """Why this model cannot be cut in this way; "" where it can, or where that is not known."""
    if facts is None or step.method in SPARSE:
        return ""
    if step.method is PruneMethod.FFN:
        narrow = facts.ffn_width > 0 and not widths(facts.ffn_width, step.width_multiple)
        return f"Its feed-forward layers are {facts.ffn_width} wide: nothing narrower runs well." if narrow else ""
    if step.method is PruneMethod.LAYERS:
        few = 0 < facts.layers <= _KEPT_LAYERS
        return f"It has {facts.layers} layers: none can be spared." if few else ""
    return "It has one KV group, which it needs." if facts.kv_heads == 1 else ""
