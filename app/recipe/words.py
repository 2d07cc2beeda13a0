"""What a step of a recipe will and will not change, said before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.prune.messages import SPARSE, PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, Step
from app.recipe.shape import Shape, cuts_of, shape_of
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
    """Of what a cut takes away: its name, how many there are, and how many are left."""
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
