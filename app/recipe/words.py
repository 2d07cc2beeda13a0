"""What a step of a recipe will and will not change, said before it is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.convert.configuration import read_config
from app.errors import PruneError, RecipeError
from app.prune.ffn_widths import width_for
from app.prune.messages import SPARSE, PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, Step
from app.recover.messages import TEACHER_TEXT, RecoverMethod
from app.units import percent

_BLOCK = 256
_NEAR = 0.05
"""A share that is off by less is what was asked for."""


def changes(step: Step, before: Shape, after: Shape, rounds: int, guessed: bool) -> str:
    """One to three sentences. `rounds` is how many cuts there really are; `guessed`: the time is no measurement."""
    if isinstance(step, PruneStep):
        words = [_pruned(step, before, after), _rounds(step, rounds)]
    elif isinstance(step, RecoverStep):
        words = [_recovered(step)]
    else:
        words = [_quantized(step)]
    if guessed:
        words.append("The time is a cautious guess: nothing of this kind has run on this computer yet.")
    return " ".join(filter(None, words))


def rounded_cuts(recipe: Recipe, source: Path) -> Iterator[str]:
    """Words for each cut that takes much more or less than was asked for. Raises as `cuts_of` does."""
    shape = shape_of(source)
    for step in recipe.steps:
        if isinstance(step, PruneStep):
            before, shape = shape, cuts_of(step, shape)[-1].shape
            if words := rounding_words(step.method, before, shape, step.amount):
                what, whole, left = _counts(step.method, before, shape)
                yield f"{what[0].upper()}{what[1:]}: {whole:,} become {left:,}. {words}"


def rounding_words(method: PruneMethod, before: Shape, after: Shape, amount: float) -> str:
    """A sentence where much more or less is taken than `amount`; "" where they are near, and for zeros."""
    if method in SPARSE:
        return ""
    what, whole, left = _counts(method, before, after)
    taken = 1 - left / whole
    if abs(taken - amount) <= _NEAR:
        return ""
    why = f"{whole - left} of {whole} {what} is as near as it gets"
    if method is PruneMethod.FFN:
        why = f"{left:,} is the nearest of the widths that quantize well and make a smaller file"
    return f"That takes {percent(taken)} and not {percent(amount)}: {why}."


def _counts(method: PruneMethod, before: Shape, after: Shape) -> tuple[str, int, int]:
    """The words of what a cut takes away: its name, how many there are, and how many are left."""
    if method is PruneMethod.LAYERS:
        return "layers", before.layers, after.layers
    if method is PruneMethod.KV_GROUPS:
        return "groups of attention heads", before.kv_groups, after.kv_groups
    return "FFN neurons", before.ffn, after.ffn


def _pruned(step: PruneStep, before: Shape, after: Shape) -> str:
    if step.method in SPARSE:
        return (
            f"{percent(after.zeros)} of the weights of each layer become zero. Zeros spread through the weights do not "
            "make the file smaller or the answers faster; removing layers or narrowing them does."
        )
    rounded = rounding_words(step.method, before, after, step.amount)
    if step.method is PruneMethod.LAYERS:
        words = (
            f"{before.layers} layers become {after.layers}: file, memory, conversation (KV cache) and time for a token "
            "shrink with them. It costs more quality than a narrower feed-forward part, and needs recovery."
        )
    elif step.method is PruneMethod.KV_GROUPS:
        words = (
            f"{before.kv_groups} groups of attention heads become {after.kv_groups}: the conversation (KV cache) "
            "shrinks with them, file and time for a token only a little. It costs the most quality for what it saves."
        )
    else:
        words = _narrowed(step, before, after)
    return " ".join(filter(None, (words, rounded, _fitted(step), _width_warning(step, after))))


def _narrowed(step: PruneStep, before: Shape, after: Shape) -> str:
    mean = "on average " if after.per_layer else ""
    return (
        f"The feed-forward part of each layer narrows from {before.ffn:,} to {mean}{after.ffn:,}: file, memory and "
        "time for a token shrink, the conversation (KV cache) does not."
    )


def _fitted(step: PruneStep) -> str:
    if not step.refit or step.method is PruneMethod.LAYERS:
        return ""
    too = ", in several passes" if step.refit_gate_up and step.method is PruneMethod.FFN else ""
    return f"What remains is fitted to what the whole gave{too}."


def notice_words(notice: str, then: str, who: str) -> str:
    """A notice of a RecipeWork or a plan, said to the user of `who`: of a button in the window, of a command."""
    return f"{notice} {who} {then}." if then else notice


def _width_warning(step: PruneStep, after: Shape) -> str:
    if step.method is not PruneMethod.FFN:
        return ""
    words = []
    if after.per_layer:
        words.append(
            "Layers of different widths run in Bantam and llama.cpp, not in transformers; the size is about right."
        )
    if after.ffn % _BLOCK or (step.per_layer and step.width_multiple % _BLOCK):
        words.append(f"A width that {_BLOCK} does not divide makes K-quants fall back to older, larger types.")
    return " ".join(words)


def _rounds(step: PruneStep, rounds: int) -> str:
    if rounds < 2:
        return "" if step.rounds < 2 else "One round is enough: there is no smaller size in between."
    return f"In {rounds} rounds, with {step.round_tokens:,} tokens of recovery after each but the last."


def _recovered(step: RecoverStep) -> str:
    text = "a text that the original writes" if step.text == TEACHER_TEXT else "a text"
    which = "All weights learn" if step.method is RecoverMethod.FULL else "The model learns"
    words = [
        f"{which} from the original on {step.budget_tokens:,} tokens of {text}: better answers, the same size and "
        "speed. Where it is no better afterwards on text it has not seen, the model stays as it was."
    ]
    if step.quantization_aware:
        words.append(f"It is trained for {step.quantization_aware}: make that file of it.")
    return " ".join(words)


def _quantized(step: QuantizeStep) -> str:
    kinds: Sequence[str] = step.types
    weighed = ", weighed by what flows through it" if step.calibrate and not step.best else ""
    files = "One file" if len(kinds) == 1 else f"{len(kinds)} files"
    return (
        f"{files} to chat with ({', '.join(kinds)}): each weight is rounded{weighed}. Then quality and speed are "
        "measured against the original, for the table of results."
    )


# How large a model is after each cut of a recipe: layers, FFN width, groups of heads. From config.json alone.
#
# A share that is asked for becomes a count here, and the share that gives exactly this count is what is asked of the
# operation: so the plan and the model that is made are of one size.


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
    """The shape of a Hugging Face folder. Raises ConversionError."""
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
    """The cuts take their share of all weights each time: what is zero already is the first to be zero again."""
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
