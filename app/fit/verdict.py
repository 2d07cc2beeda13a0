"""What can be said of a model's fit from its header alone, without asking the engine: only what is certain.

"Fits" is said of a bound that is too high on purpose, "too big" of the weights alone; all between is "tight", and the
exact answer comes from `app.fit.memory` when the model is loaded.
"""

from __future__ import annotations

from enum import StrEnum

from app.library.gguf_file import GgufHeader
from app.requests import KvType

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
