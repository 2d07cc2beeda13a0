"""How large a model is after each cut of a recipe: layers, FFN width, groups of heads. From config.json alone.

A share that is asked for becomes a count here, and the share that gives exactly this count is what is asked of the
operation: so the plan and the model that is made are of one size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.convert.configuration import read_config
from app.errors import PruneError, RecipeError
from app.prune.ffn_widths import width_for
from app.prune.messages import SPARSE, PruneMethod
from app.recipe.recipe import PruneStep


@dataclass(frozen=True, slots=True)
class Shape:
    """What pruning changes. Of layers that differ `ffn` and `kv_groups` are the means, rounded."""

    layers: int
    ffn: int
    kv_groups: int
    heads_a_group: int
    per_layer: bool = False
    zeros: float = 0.0
    """Share of the weights of the pruned matrices that is zero."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One run of a pruning method: the share to take of what is there by then, and what is there afterwards."""

    amount: float
    shape: Shape


def shape_of(source: Path) -> Shape:
    """Of a Hugging Face folder. Raises ConversionError."""
    config = read_config(source)
    layers, heads, kv_heads = config.layers, config.heads_of, config.kv_heads_of
    groups = max(1, round(sum(kv_heads) / layers))
    different = len(set(config.ffn_of)) > 1 or len(set(kv_heads)) > 1
    return Shape(layers, round(sum(config.ffn_of) / layers), groups, max(1, heads[0] // max(1, kv_heads[0])), different)


def cuts_of(step: PruneStep, shape: Shape) -> tuple[Cut, ...]:
    """One for each round, fewer where there are not as many counts in between. Raises RecipeError where none is.

    Zeros come along a cubic schedule (Zhu and Gupta 2017, arXiv 1710.01878), counts in equal parts.
    """
    if step.method in SPARSE:
        return tuple(_sparse_cuts(step, shape))
    name, total, kept = _counted(step, shape)
    cuts, before = [], total
    for count in dict.fromkeys(kept(step.amount * part / step.rounds) for part in range(1, step.rounds + 1)):
        per_layer = shape.per_layer or step.per_layer
        shape = dataclasses.replace(shape, **{name: count}, per_layer=per_layer)
        cuts.append(Cut(1 - count / before, shape))
        before = count
    return tuple(cuts)


def _sparse_cuts(step: PruneStep, shape: Shape) -> Iterator[Cut]:
    """Of all weights each time: what is zero already is the first to be zero again."""
    for part in range(1, step.rounds + 1):
        amount = step.amount * (1 - (1 - part / step.rounds) ** 3)
        yield Cut(amount, dataclasses.replace(shape, zeros=max(shape.zeros, amount)))


def _counted(step: PruneStep, shape: Shape) -> tuple[str, int, Callable[[float], int]]:
    """What the method counts: its name in Shape, how many there are, and how many stay of a share that goes."""
    if step.method is PruneMethod.FFN:
        return "ffn", shape.ffn, lambda amount: _width(shape.ffn, amount, step.width_multiple)
    if step.method is PruneMethod.KV_GROUPS:
        return "kv_groups", shape.kv_groups, lambda amount: _kept(shape.kv_groups, amount, "group of heads")
    return "layers", shape.layers, lambda amount: _kept(shape.layers, amount, "layer")


def _width(before: int, amount: float, multiple: int) -> int:
    try:
        return width_for(before, amount, multiple)
    except PruneError as error:
        raise RecipeError(error.sentence, error.hint) from error


def _kept(total: int, amount: float, what: str) -> int:
    """One fewer at least, and one at least."""
    if total < 2:
        raise RecipeError(f"The model has one {what}, and one must stay.", "Choose another way to prune.")
    return min(max(round(total * (1 - amount)), 1), total - 1)
