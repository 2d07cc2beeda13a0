"""What a model takes at every context length: points that llama.cpp gave, and straight lines between them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from app.engine.messages import ENGINE_BYTES, KvType, MemoryNeed

CONTEXT_STEP_TOKENS = 256
"""llama.cpp rounds a context up to a multiple of it."""


@dataclass(frozen=True, slots=True)
class FitPoint:
    """KV cache (or recurrent state) and compute buffers at one context length and KV cache type, in bytes."""

    context_tokens: int
    kv_type: KvType
    kv_bytes: int
    compute_bytes: int


@dataclass(frozen=True, slots=True)
class FitCurve:
    """Points in rising order of context, as llama.cpp itself gave them."""

    weights_bytes: int
    trained_context_tokens: int
    points: tuple[FitPoint, ...]
    engine_bytes: int = ENGINE_BYTES
    """The process itself with this model's vocabulary, beside the buffers."""

    def need(self, context_tokens: int, kv_type: KvType) -> MemoryNeed:
        """The need at that context: of a point, or on the line between two. KeyError for a type without points."""
        points = [point for point in self.points if point.kv_type is kv_type]
        if not points:
            raise KeyError(kv_type)
        right = bisect_left([point.context_tokens for point in points], context_tokens)
        right = min(max(right, 1), len(points) - 1)  # the outermost two serve beyond them too
        before, after = points[max(right - 1, 0)], points[right]
        span = after.context_tokens - before.context_tokens
        share = (context_tokens - before.context_tokens) / span if span else 0.0
        return MemoryNeed(
            self.weights_bytes,
            round(before.kv_bytes + share * (after.kv_bytes - before.kv_bytes)),
            round(before.compute_bytes + share * (after.compute_bytes - before.compute_bytes)),
            self.engine_bytes,
        )

    def largest_context(self, kv_type: KvType, budget_bytes: int) -> int:
        """The longest context whose process stays within the budget, a multiple of 256 tokens; 0 where none does."""
        low, high = 0, max(self.trained_context_tokens, CONTEXT_STEP_TOKENS) // CONTEXT_STEP_TOKENS
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.need(middle * CONTEXT_STEP_TOKENS, kv_type).resident_bytes <= budget_bytes
            low, high = (middle, high) if fits else (low, middle - 1)
        return low * CONTEXT_STEP_TOKENS
