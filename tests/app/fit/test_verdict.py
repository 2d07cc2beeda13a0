"""The verdict at a glance says only what is certain."""

from __future__ import annotations

import pytest

from app.engine.messages import KvType
from app.fit.verdict import Verdict, at_a_glance, upper_bound_bytes
from app.library.gguf_file import GgufHeader

GB = 10**9


def header(weights_bytes: int = 4 * GB, context_tokens: int = 32768) -> GgufHeader:
    """Of the shape of a 7B model with grouped heads."""
    return GgufHeader(
        architecture="qwen2",
        name="",
        parameters=7_600_000_000,
        quantization="Q4_K_M",
        context_tokens=context_tokens,
        layers=28,
        embedding=3584,
        heads=28,
        kv_heads=4,
        vocabulary=152_064,
        has_chat_template=True,
        file_bytes=weights_bytes,
        tensor_bytes=weights_bytes,
    )


@pytest.mark.parametrize(
    ("available", "total", "verdict"),
    [
        (12 * GB, 16 * GB, Verdict.FITS),
        (int(4.2 * GB), 16 * GB, Verdict.TIGHT),
        (3 * GB, 16 * GB, Verdict.TOO_BIG_NOW),
        (3 * GB, int(3.9 * GB), Verdict.TOO_BIG),
    ],
)
def test_verdict(available: int, total: int, verdict: Verdict) -> None:
    assert at_a_glance(header(), 4096, KvType.F16, available, total) is verdict


def test_bound_is_above_what_llama_cpp_says() -> None:
    # Qwen2.5-7B at 4096 in f16: 28 layers x 4 heads x 128 x 2 x 4096 x 2 bytes = 235 MB of KV cache, 304 MB of buffers
    assert upper_bound_bytes(header(), 4096, KvType.F16) > 4 * GB + 235_000_000 + 304_000_000


def test_bound_counts_no_more_context_than_the_model_has() -> None:
    assert upper_bound_bytes(header(context_tokens=2048), 8192, KvType.F16) == upper_bound_bytes(
        header(context_tokens=2048), 2048, KvType.F16
    )


def test_bound_shrinks_with_the_kv_type() -> None:
    sizes = [upper_bound_bytes(header(), 32768, kv_type) for kv_type in (KvType.F16, KvType.Q8_0, KvType.Q4_0)]
    assert sizes == sorted(sizes, reverse=True)
