"""How a model was made here: the steps that a manifest keeps as data, and the words that are made of them.

`words_of` is what the user reads ("FFN 768 to 512, refitted; Q4_K_M with an importance matrix"); nothing reads such
words back, except the last section, for manifests of version 1, which kept words alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.library.tensor_types import FILE_TYPES, K_QUANT_BLOCK
from app.units import percent


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Weights were set to zero; `method` is a PruneMethod."""

    method: str
    amount: float
    """Share of the weights of each matrix, or of all, that became zero."""
    pattern: str = ""
    """ "2:4": so many zeros among so many neighbours; "" for any place."""


@dataclass(frozen=True, slots=True)
class FfnCut:
    """The FFNs were made narrower."""

    before: int
    widths: tuple[int, ...]
    """The width of each layer afterwards; a single one where all layers have the same."""
    refitted: bool = True
    gate_and_up: bool = False
    """Whether the gate and up projections were fitted too."""


@dataclass(frozen=True, slots=True)
class KvGroupCut:
    """Groups of attention heads were taken away."""

    before: int
    groups: tuple[int, ...]
    """Left in each layer; a single number where all layers have the same."""
    refitted: bool = True


@dataclass(frozen=True, slots=True)
class LayerCut:
    """Whole layers were left out."""

    layers: int
    """How many there were."""
    dropped: tuple[int, ...]
    """Their numbers, from 0."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A pruned model was trained to answer as its teacher does; `method` is a RecoverMethod."""

    method: str
    tokens: int
    text_name: str = ""
    """The name of the file that it read; "" for the bundled text, and for what the teacher wrote."""
    bundled_text: bool = False
    hard_loss: float = 0.0
    grid: str = ""
    """The type on whose grid it was trained; "" for none."""
    kl_before: float | None = None
    """Mean divergence to the teacher on text that was held out, in nats."""
    kl_after: float | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """The weights were rounded to `type`, a mixture of llama.cpp's."""

    type: str
    importance: bool = False
    """Whether an importance matrix weighed the errors."""
    best: bool = False
    """Whether outliers were folded (AWQ) and the codes chosen again (GPTQ)."""
    overrides: tuple[tuple[str, str], ...] = ()
    """Pairs of a pattern of tensor names and the type of what it matches."""
    output_type: str = ""
    embedding_type: str = ""


@dataclass(frozen=True, slots=True)
class OpaqueStep:
    """One or more steps of which only the words are known: an earlier version of the program kept no more."""

    words: str
    altered: bool = False
    """Whether weights were pruned or trained, and not only rounded."""


ProvenanceStep = Sparsity | FfnCut | KvGroupCut | LayerCut | Recovery | Quantization | OpaqueStep
Steps = tuple[ProvenanceStep, ...]
"""Steps from the farthest source on, in the order in which they were done."""


def shortened(counts: Sequence[int]) -> tuple[int, ...]:
    """What the layers have, as a step keeps it: once where all have the same."""
    return tuple(counts if len(set(counts)) > 1 else counts[:1])


def words_of(steps: Sequence[ProvenanceStep]) -> str:
    """How a model was made, for the user: the words of all steps; "" where nothing was done."""
    return _BETWEEN.join(map(_words, steps))


def short_words_of(steps: Sequence[ProvenanceStep]) -> str:
    """What was done to the weights before they were rounded, in a few letters: "FFN 512 recovered"."""
    found: list[str] = []
    for step in steps:
        shorts, ended = _shorts(step)
        found += shorts
        if ended:
            break
    return " ".join(dict.fromkeys(found))


def rounding_of(steps: Sequence[ProvenanceStep]) -> tuple[str, str]:
    """The type that the weights were rounded to, and how: "best", "imatrix", or "" for the plain way.

    Both are "" where they were not rounded.
    """
    for step in steps:
        if isinstance(step, Quantization):
            return step.type, "best" if step.best else "imatrix" * step.importance
        if isinstance(step, OpaqueStep) and (found := _rounding_in(step.words))[0]:
            return found
    return "", ""


def is_altered(steps: Sequence[ProvenanceStep]) -> bool:
    """Whether weights were pruned or trained: it is another model than its source, and not only a rounded one."""
    return any(step.altered if isinstance(step, OpaqueStep) else not isinstance(step, Quantization) for step in steps)


def alteration(steps: Sequence[ProvenanceStep]) -> str:
    """What was done to a folder's weights: "pruned", "recovered" or "pruned and recovered"; "" without steps."""
    done = {word for step in steps for word in _alterations(step)}
    return " and ".join(word for word in ("pruned", "recovered") if word in done)


def steps_after(steps: Steps, before: Steps) -> Steps | None:
    """The steps that follow `before`; None where `steps` do not begin with it."""
    if steps[: len(before)] == before:
        return steps[len(before) :]
    if any(isinstance(step, OpaqueStep) for step in (*steps, *before)):
        return _steps_after_words(steps, words_of(before))
    return None


_BETWEEN = "; "
_SPARSE_NAMES = {
    "magnitude": "Magnitude",
    "global-magnitude": "Magnitude over the whole model",
    "wanda": "Wanda",
    "sparsegpt": "SparseGPT",
}
_RECOVERY_NAMES = {"lora": "LoRA", "qlora": "QLoRA", "full": "all weights"}


def _words(step: ProvenanceStep) -> str:
    match step:
        case Sparsity():
            return f"{_SPARSE_NAMES.get(step.method, step.method)}, {step.pattern or percent(step.amount)} zeros"
        case FfnCut():
            return _ffn_words(step)
        case KvGroupCut():
            return f"KV groups {step.before} to {_counts(step.groups)}" + ", refitted" * step.refitted
        case LayerCut():
            names = ", ".join(map(str, step.dropped))
            return f"{len(step.dropped)} of {step.layers} layers left out ({names}, counted from 0)"
        case Recovery():
            return _recovery_words(step)
        case Quantization():
            return _quantization_words(step)
        case OpaqueStep():
            return step.words


def _ffn_words(step: FfnCut) -> str:
    fallback = any(width % K_QUANT_BLOCK for width in step.widths)
    return (
        f"FFN {step.before} to {_counts(step.widths)}"
        + ", refitted" * step.refitted
        + ", gate and up too" * step.gate_and_up
        + f" (not a multiple of {K_QUANT_BLOCK}: K-quants fall back to older types)" * fallback
    )


def _counts(counts: tuple[int, ...]) -> str:
    least, most = min(counts), max(counts)
    return f"between {least} and {most} by layer" if least < most else str(least)


def _recovery_words(step: Recovery) -> str:
    parts = [f"recovered, {_RECOVERY_NAMES.get(step.method, step.method)}, {step.tokens:,} tokens"]
    if step.bundled_text or step.text_name:
        parts.append(f"text {step.text_name}" if step.text_name else "bundled text")
    if step.hard_loss:
        parts.append(f"{percent(step.hard_loss)} cross-entropy")
    if step.grid:
        parts.append(f"on the {step.grid} grid")
    return ", ".join(parts)


def _quantization_words(step: Quantization) -> str:
    if step.best:
        return f"{step.type}, outliers folded (AWQ), importance matrix, rounded again (GPTQ)"
    words = step.type + " with an importance matrix" * step.importance
    changed = [f"{pattern}={kind}" for pattern, kind in step.overrides]
    changed += [f"output={step.output_type}"] * bool(step.output_type)
    changed += [f"embedding={step.embedding_type}"] * bool(step.embedding_type)
    return f"{words}; {', '.join(changed)}" if changed else words


def _shorts(step: ProvenanceStep) -> tuple[list[str], bool]:
    """A step in a few letters, and whether the weights were rounded in it, which is not said here."""
    match step:
        case Sparsity():
            return [_SPARSE_NAMES.get(step.method, step.method)], False
        case FfnCut():
            return [f"FFN {_short_counts(step.before, step.widths)}"], False
        case KvGroupCut():
            return [f"KV groups {_short_counts(step.before, step.groups)}"], False
        case LayerCut():
            return [f"{len(step.dropped)} of {step.layers} layers left out"], False
        case Recovery():
            return ["recovered"], False
        case Quantization():
            return [], True
        case OpaqueStep():
            return _shorts_in(step.words)


def _short_counts(before: int, counts: tuple[int, ...]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{before} to {_counts(counts)}"


def _alterations(step: ProvenanceStep) -> Iterator[str]:
    if isinstance(step, OpaqueStep):
        yield from _alterations_in(step.words)
    elif not isinstance(step, Quantization):
        yield "recovered" if isinstance(step, Recovery) else "pruned"


# The words in manifests of version 1, which kept nothing else of how a model was made. Only here are words read back.


_COUNT = re.compile(r"[\d,.]+ to ([\d,.]+)")
_FILE_TYPES = frozenset(FILE_TYPES.values())


def _alterations_in(words: str) -> Iterator[str]:
    """The alterations of a folder's weights, which were never rounded."""
    for clause in words.split(_BETWEEN):
        if clause:
            yield "recovered" if clause.startswith("recovered") else "pruned"


def _shorts_in(words: str) -> tuple[list[str], bool]:
    clauses = words.split(_BETWEEN)
    at = _rounding_at(clauses)
    shorts = [_COUNT.sub(r"\1", re.split(r", | \(", clause)[0]).replace(",", "") for clause in clauses[:at]]
    return shorts, at < len(clauses)


def _rounding_in(words: str) -> tuple[str, str]:
    clauses = words.split(_BETWEEN)
    rounding = _BETWEEN.join(clauses[_rounding_at(clauses) :])
    how = "best" if "GPTQ" in rounding else "imatrix" if "importance matrix" in rounding else ""
    return _type_in(rounding), how


def _rounding_at(clauses: Sequence[str]) -> int:
    """The place of the clause that names a file type; the end where none does."""
    places = (n for n, clause in enumerate(clauses) if _type_in(clause) in _FILE_TYPES)
    return next(places, len(clauses))


def _type_in(clause: str) -> str:
    return clause.split(" ")[0].rstrip(",;")


def _steps_after_words(steps: Steps, before: str) -> Steps | None:
    """The same as `steps_after`, where steps and words of the same steps may stand beside each other."""
    for number in range(len(steps) + 1):
        words = words_of(steps[:number])
        if words == before:
            return steps[number:]
        if words.startswith(before + _BETWEEN):
            last = steps[number - 1]
            if isinstance(last, OpaqueStep) and last.words.endswith(rest := words[len(before) + len(_BETWEEN) :]):
                return (dataclasses.replace(last, words=rest), *steps[number:])
            return None
    return None
