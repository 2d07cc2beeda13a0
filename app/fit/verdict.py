"""Does it fit? From the engine's own figures (`judge`), or at a glance from a header alone, where only what is certain
is said: "fits" of a bound that is too high on purpose, "too big" of the weights alone, and all between is "tight".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.engine.curve import FitCurve
from app.engine.messages import KvType
from app.engine.need import MemoryNeed
from app.fit.judgement import MemoryBudget
from app.library.gguf_file import GgufHeader

_BYTES_AN_ELEMENT = {KvType.F16: 2.0, KvType.Q8_0: 1.0625, KvType.Q4_0: 0.5625}
_BATCH_TOKENS = 512
"""llama.cpp computes the logits of at most so many tokens at once."""
_SPARE_BYTES = 300_000_000


class Verdict(StrEnum):
    """In the user's words."""

    FITS = "fits"
    TIGHT = "tight"
    TOO_BIG_NOW = "too big now"
    TOO_BIG = "too big"


_COMFORT = 0.9
"""Of what is free: above it the verdict is "tight"."""


@dataclass(frozen=True, slots=True)
class FitVerdict:
    """Two questions at one context: does it fit now, and does it fit this machine once other programs are closed.

    `verdict` is both in one word. The largest contexts are 0 where not even the smallest fits.
    """

    verdict: Verdict
    need: MemoryNeed
    context_tokens: int
    largest_context_now: int
    largest_context_machine: int

    @property
    def fits_now(self) -> bool:
        """It could be loaded at once."""
        return self.verdict in (Verdict.FITS, Verdict.TIGHT)

    @property
    def fits_machine(self) -> bool:
        """It could be loaded with other programs closed."""
        return self.verdict is not Verdict.TOO_BIG


def judge(curve: FitCurve, context_tokens: int, kv_type: KvType, budget: MemoryBudget) -> FitVerdict:
    """The verdict at this context, or at the longest the model was trained for. No engine is asked: a slider may call
    this at every step. Raises KeyError for a KV type without points.
    """
    if curve.trained_context_tokens:
        context_tokens = min(context_tokens, curve.trained_context_tokens)
    need = curve.need(context_tokens, kv_type)
    wanted = need.resident_bytes
    if wanted <= budget.now_bytes:
        verdict = Verdict.FITS if wanted <= budget.now_bytes * _COMFORT else Verdict.TIGHT
    else:
        verdict = Verdict.TOO_BIG_NOW if wanted <= budget.machine_bytes else Verdict.TOO_BIG
    now = curve.largest_context(kv_type, budget.now_bytes)
    machine = curve.largest_context(kv_type, budget.machine_bytes)
    return FitVerdict(verdict, need, context_tokens, now, machine)


def arithmetic(verdict: FitVerdict, budget: MemoryBudget) -> tuple[tuple[str, int], ...]:
    """The sum behind a verdict: (what, bytes) in the order in which it is added up."""
    need = verdict.need
    return (
        ("Weights", need.weights_bytes),
        (f"Conversation of {verdict.context_tokens:,} tokens (KV cache)", need.kv_bytes),
        ("Buffers to compute in", need.compute_bytes),
        ("The engine itself, with the vocabulary", need.engine_bytes),
        ("Needed in all", need.resident_bytes),
        ("Free now", budget.now_bytes),
        ("This computer can give at most", budget.machine_bytes),
    )


def at_a_glance(
    header: GgufHeader, context_tokens: int, kv_type: KvType, available_bytes: int, total_bytes: int
) -> Verdict:
    """The verdict on loading this file with that context, with so much memory available now and in the machine."""
    if header.tensor_bytes > total_bytes:
        return Verdict.TOO_BIG
    if header.tensor_bytes > available_bytes:
        return Verdict.TOO_BIG_NOW
    return Verdict.FITS if upper_bound_bytes(header, context_tokens, kv_type) <= available_bytes else Verdict.TIGHT


def upper_bound_bytes(header: GgufHeader, context_tokens: int, kv_type: KvType) -> int:
    """More than it will take: heads may be twice as wide as embedding / heads says, so the KV cache counts twice."""
    tokens = min(context_tokens or 8192, header.context_tokens or context_tokens or 8192)
    head_width = header.embedding / max(1, header.heads)
    elements = 2 * header.layers * max(1, header.kv_heads or header.heads) * head_width * tokens
    buffers = _BATCH_TOKENS * 4 * (header.vocabulary + 8 * header.embedding)
    return int(header.tensor_bytes + 2 * elements * _BYTES_AN_ELEMENT[kv_type] + buffers + _SPARE_BYTES)
