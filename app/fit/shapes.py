"""What a safetensors model would take once it is converted: computed from the shapes of its tensors, and said to be so.

Sizes are those of llama.cpp's usual mixtures; buffers are an estimate of what the engine plans. Not exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from app.errors import HubError
from app.fit.curve import FitCurve, FitPoint
from app.fit.judgement import Judgement, ReadProfile, TypeBytes
from app.fit.need import PROCESS_BYTES
from app.hub.remote import RemoteTensor, SafetensorsHeader
from app.library.gguf_reader import printable
from app.library.tensor_types import TENSOR_TYPES
from app.requests import KvType

TARGETS = ("F16", "Q8_0", "Q4_K_M", "Q4_0")
_KV_BYTES = {KvType.F16: 2.0, KvType.Q8_0: 1.0625, KvType.Q4_0: 0.5625}
_TYPES = {kind.name: kind.block_bytes / kind.block for kind in TENSOR_TYPES.values()}
_BATCH, _OUTPUT_ROWS = 512, 32
_VOCABULARY_BYTES = 400


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the configuration says, in Hugging Face's names."""

    layers: int
    width: int
    ffn: int
    kv_width: int
    vocabulary: int
    context: int


def judge_shapes(key: str, header: SafetensorsHeader, contexts: tuple[int, ...]) -> dict[str, Judgement]:
    """A judgement for each target quantization. Raises HubError where the configuration does not say enough."""
    numbers = _numbers(header.config)
    return {target: _judgement(key, header.tensors, numbers, target, contexts) for target in TARGETS}


def _judgement(
    key: str, tensors: tuple[RemoteTensor, ...], numbers: _Numbers, target: str, contexts: tuple[int, ...]
) -> Judgement:
    tied = not any(tensor.name.endswith("lm_head.weight") for tensor in tensors)
    weights = 0
    read: dict[str, int] = {}
    for tensor in tensors:
        for kind, share in _kinds(tensor, target, tied).items():
            size = int(prod(tensor.shape) * _TYPES[kind] * share)
            weights += size
            if tied or "embed_tokens" not in tensor.name:
                read[kind] = read.get(kind, 0) + size
    engine = numbers.vocabulary * _VOCABULARY_BYTES
    lengths = sorted({min(context, numbers.context) for context in contexts})
    points = tuple(FitPoint(n, kv, *_buffers(numbers, n, kv)) for kv in KvType for n in lengths)
    curve = FitCurve(weights, numbers.context, points, PROCESS_BYTES + engine, exact=False)
    profile = ReadProfile(tuple(TypeBytes(kind, size) for kind, size in sorted(read.items())), numbers.layers)
    return Judgement(key, curve, profile)


def _kinds(tensor: RemoteTensor, target: str, tied: bool) -> dict[str, float]:
    """ggml type -> share of the tensor. From llama.cpp's `llama_tensor_get_type`: Q4_K_M keeps half of the value and
    down projections in Q6_K, all 4-bit files the output matrix.
    """
    if len(tensor.shape) < 2 or tensor.name.endswith("norm.weight"):
        return {"F32": 1.0}
    if target in ("F16", "Q8_0"):
        return {target: 1.0}
    if "lm_head" in tensor.name or (tied and "embed_tokens" in tensor.name):
        return {"Q6_K": 1.0}
    if target == "Q4_K_M" and ("v_proj" in tensor.name or "down_proj" in tensor.name):
        return {"Q6_K": 0.5, "Q4_K": 0.5}
    return {"Q4_K" if target == "Q4_K_M" else target: 1.0}


def _buffers(numbers: _Numbers, context: int, kv_type: KvType) -> tuple[int, int]:
    kv = 2 * numbers.layers * numbers.kv_width * context * _KV_BYTES[kv_type]
    compute = 4 * _BATCH * (2 * numbers.ffn + 4 * numbers.width) + 4 * _OUTPUT_ROWS * numbers.vocabulary
    return int(kv), compute + 2 * _BATCH * context


def _numbers(config: dict[str, Any]) -> _Numbers:
    config = {**config, **(config["text_config"] if isinstance(config.get("text_config"), dict) else {})}
    if "quantization_config" in config:
        raise HubError("The weights here are quantized already, in a way that cannot be converted.")

    def number(name: str, default: Callable[[], int] | None = None) -> int:
        value = config.get(name)
        if isinstance(value, int) and 0 < value < 1 << 31:
            return value
        if default is None:
            kind = printable(str(config.get("model_type", "unknown")))
            raise HubError(f"The configuration of this model ({kind}) does not say its “{name}”.")
        return default()

    width, heads = number("hidden_size"), number("num_attention_heads")
    kv_heads = number("num_key_value_heads", lambda: heads)
    return _Numbers(
        layers=number("num_hidden_layers"),
        width=width,
        ffn=number("intermediate_size", lambda: 4 * width),
        kv_width=kv_heads * number("head_dim", lambda: width // heads),
        vocabulary=number("vocab_size"),
        context=number("max_position_embeddings", lambda: 4096),
    )
