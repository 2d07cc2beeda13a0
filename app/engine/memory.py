"""What a model takes in memory, asked of llama.cpp itself: it reads the header alone and plans every buffer."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from app.engine.curve import FitCurve, FitPoint
from app.engine.llama import LOG, Context, Model, ModelOptions
from app.engine.messages import (
    LEAST_CONTEXT_TOKENS,
    PROCESS_BYTES,
    FlashAttention,
    KvType,
    LoadModel,
    MeasureFit,
    MemoryNeed,
    TooLarge,
)
from app.errors import Cancelled, LoadError
from app.operation import Context as OperationContext
from app.system.hardware import available_memory_bytes
from app.units import size_text

# How much of the C heap is in use: the difference around a load is what the vocabulary and the tensor list take.


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


@functools.cache
def _mallinfo2() -> Callable[[], _Mallinfo2] | None:
    """glibc's own count (mallinfo(3), from 2.33); None elsewhere."""
    try:
        function = ctypes.CDLL(ctypes.util.find_library("c")).mallinfo2
    except (OSError, AttributeError, TypeError):
        return None
    function.restype = _Mallinfo2
    return function


def heap_bytes() -> int | None:
    """Bytes that the process has from malloc and not given back; None where the C library does not count them."""
    count = _mallinfo2()
    if count is None:
        return None
    state = count()
    return int(state.uordblks + state.hblkhd)


_BYTES_A_TOKEN = 400
"""The memory of the vocabulary, merges included, where the C library does not count: 51 MB for Llama 3's 128,256
tokens.
"""


def measure_fit(request: MeasureFit, context: OperationContext) -> FitCurve:
    """The need at each context and KV type that is asked for; 3 ms a point once the vocabulary is read (0.2 s for
    128,000 tokens). Contexts longer than the model was trained for are left out. Works on a sparse stub.

    Raises LoadError where llama.cpp cannot load the file, Cancelled.
    """
    with _header(request) as (model, engine_bytes):
        trained = model.trained_context_tokens
        lengths = sorted({context_tokens(wanted, trained) for wanted in request.context_tokens})
        points = []
        for kv_type in request.kv_types:
            for length in lengths:
                if context.stop():
                    raise Cancelled
                points.append(FitPoint(length, kv_type, *_buffers(model, length, kv_type, request.flash_attention)))
        return FitCurve(model.weights_bytes, trained, tuple(points), engine_bytes)


def memory_need(request: LoadModel) -> MemoryNeed:
    """The need of this file in this context; no weight is read. Raises LoadError where llama.cpp cannot load it."""
    with _header(request) as (model, engine_bytes):
        tokens = context_tokens(request.context_tokens, model.trained_context_tokens)
        buffers = _buffers(model, tokens, request.kv_type, request.flash_attention)
        return MemoryNeed(model.weights_bytes, *buffers, engine_bytes)


def draft_need(request: LoadModel, draft: Path, tokens: int) -> MemoryNeed:
    """What a draft takes beside the model at its context: the process is there already. Raises LoadError."""
    need = memory_need(dataclasses.replace(request, path=draft, context_tokens=tokens))
    return dataclasses.replace(need, engine_bytes=need.engine_bytes - PROCESS_BYTES)


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
    draft = f", {size_text(need.draft_bytes)} for the draft model" if need.draft_bytes else ""
    sentence = (
        f"{request.path.stem} needs {size_text(wanted)}: {size_text(need.weights_bytes)} for the weights, "
        f"{size_text(need.kv_bytes)} for the conversation (KV cache), "
        f"{size_text(need.compute_bytes + need.engine_bytes)} to work in{draft}. "
        f"{size_text(available)} of memory are free."
    )
    return TooLarge(request.path, need, available, sentence)


@contextlib.contextmanager
def _header(request: LoadModel | MeasureFit) -> Iterator[tuple[Model, int]]:
    """The model without its weights, and what the process takes with its vocabulary."""
    LOG.clear()
    before = heap_bytes()
    model = Model(request.path, ModelOptions(header_only=True), lambda _share: True)
    after = heap_bytes()
    try:
        counted = before is not None and after is not None
        vocabulary = (after or 0) - (before or 0) if counted else model.vocabulary_size * _BYTES_A_TOKEN
        yield model, PROCESS_BYTES + max(0, vocabulary)
    finally:
        model.close()


def _buffers(model: Model, tokens: int, kv_type: KvType, flash: FlashAttention) -> tuple[int, int]:
    """KV cache (or recurrent state) and compute buffers, in bytes. Raises LoadError."""
    LOG.clear()
    context = Context(model, tokens, kv_type, flash)
    context.close()
    kv_bytes, compute_bytes = LOG.cache_and_compute_bytes()
    if not compute_bytes:
        raise LoadError("The engine did not say how much memory it needs for this model.")
    return kv_bytes, compute_bytes
