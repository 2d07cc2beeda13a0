"""What a model takes in memory, asked of llama.cpp itself: it reads the header alone and plans every buffer."""

from __future__ import annotations

from app.engine.llama import LOG, Context, Model, ModelOptions
from app.events import TooLarge
from app.fit.need import ENGINE_BYTES, MemoryNeed
from app.hardware import available_memory_bytes
from app.requests import LEAST_CONTEXT_TOKENS, LoadModel
from app.units import size_text


def memory_need(request: LoadModel) -> MemoryNeed:
    """The weights, KV cache and compute buffers of this file in this context; some milliseconds, no weight is read.

    Raises LoadError where llama.cpp cannot load the file.
    """
    LOG.clear()
    model = Model(request.path, ModelOptions(header_only=True), lambda _share: True)
    try:
        tokens = context_tokens(request.context_tokens, model.trained_context_tokens)
        context = Context(model, tokens, request.kv_type, request.flash_attention)
        context.close()
        kv_bytes, compute_bytes = LOG.cache_and_compute_bytes()
        return MemoryNeed(model.weights_bytes, kv_bytes, compute_bytes)
    finally:
        model.close()


def context_tokens(wanted: int, trained: int) -> int:
    """The context to use: what is wanted (0: up to 8192), but never more than the model was trained for."""
    if trained <= 0:
        return max(wanted or 4096, LEAST_CONTEXT_TOKENS)
    return min(max(wanted or 8192, LEAST_CONTEXT_TOKENS), trained)


def too_large(request: LoadModel, need: MemoryNeed) -> TooLarge | None:
    """The question to ask before loading more than is available; None where it fits."""
    available = available_memory_bytes()
    wanted = need.resident_bytes
    if wanted <= available:
        return None
    sentence = (
        f"{request.path.stem} needs {size_text(wanted)}: {size_text(need.weights_bytes)} for the weights, "
        f"{size_text(need.kv_bytes)} for the conversation (KV cache), "
        f"{size_text(need.compute_bytes + ENGINE_BYTES)} to work in. {size_text(available)} of memory are free."
    )
    return TooLarge(request.path, need, available, sentence)
