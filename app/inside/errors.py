"""What each way of storing a tensor in fewer bits would do to its weights: RMSE and signal-to-noise, as a table.

Errors of the weights alone. How much a model minds them differs from tensor to tensor: see `app.inside.sensitivity`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import gguf
import numpy as np
from gguf.quants import dequantize

from app.engine.ggml_library import quantize_rows, tensor_type
from app.errors import Cancelled
from app.events import ShouldStop
from app.inside.codebook import by_codebook
from app.inside.said import MethodError, MethodKind
from app.inside.scalar import per_block, per_row, per_tensor
from app.inside.tensors import Rows

_NOT_IN_GGUF = "No GGUF type stores it: to compare with, not to use."
_SCALE_BITS = 32
"""A scale and a minimum, 16 bits each."""

GGUF_TYPES = {
    "Q8_0": "Blocks of 32 share a scale; 8 bits each. Nothing lost that can be noticed.",
    "Q6_K": "256 weights with 16 scales of 8 bits: very close to the source.",
    "Q5_K": "256 weights; 8 scales and minimums of 6 bits, 5 bits a weight.",
    "Q4_K": "As Q5_K with 4 bits: most of a Q4_K_M file.",
    "Q4_0": "Blocks of 32 share one scale, 16 even steps: the fastest on most processors.",
    "IQ4_NL": "Blocks of 32; 16 uneven steps, closer together near zero, where most weights are.",
    "IQ4_XS": "The uneven steps of IQ4_NL with cheaper scales over 256 weights.",
    "Q3_K": "256 weights with 16 scales of 6 bits, 8 steps each: can be noticed.",
    "Q2_K": "256 weights, 4 steps each: much is lost.",
}
"""ggml's types that need no importance matrix, in plain words."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to store a tensor. `bits` is asked with the tensor's rows and columns; `multiple` divides its columns."""

    kind: MethodKind
    name: str
    words: str
    multiple: int
    bits: Callable[[int, int], float]
    store: Callable[[Rows], Rows]
    """What would be read again in place of the weights."""


def errors_of(weights: Rows, rows: int, stop: ShouldStop) -> tuple[MethodError, ...]:
    """The table for a tensor of `rows` rows, of which `weights` are all or some. They must be finite. Raises Cancelled."""
    return tuple(_error(method, weights, rows, stop) for method in methods())


def methods() -> tuple[Method, ...]:
    """All of them, in the order of the table."""
    return (*_scalar_methods(), *_codebook_methods(), *map(_gguf_method, GGUF_TYPES))


def root_mean_square(weights: Rows) -> float:
    """In f64."""
    return math.sqrt(float(np.square(weights, dtype=np.float64).mean())) if weights.size else 0.0


def _error(method: Method, weights: Rows, rows: int, stop: ShouldStop) -> MethodError:
    if stop():
        raise Cancelled
    columns = weights.shape[1]
    bits = method.bits(rows, columns)
    if columns % method.multiple:
        problem = f"Does not fit this tensor: its rows have {columns:,} weights, which {method.multiple} does not divide."
        return MethodError(method.kind, method.name, bits, 0.0, 0.0, method.words, problem)
    error, signal = root_mean_square(weights - method.store(weights)), root_mean_square(weights)
    exact = error == 0.0
    noise = 0.0 if exact or signal == 0.0 else 20 * math.log10(signal / error)
    return MethodError(method.kind, method.name, bits, error, noise, method.words, exact=exact)


def _scalar_methods() -> list[Method]:
    found = []
    for bits in (8, 4):
        steps = 2**bits
        shares: tuple[tuple[str, int, Callable[[int, int], float], Callable[[Rows], Rows], str], ...] = (
            (
                "whole tensor", 1, lambda rows, columns, bits=bits: bits + _SCALE_BITS / (rows * columns),
                lambda w, bits=bits: per_tensor(w, bits), f"{steps} even steps from the tensor's smallest weight to its largest.",
            ),
            (
                "each row", 1, lambda _, columns, bits=bits: bits + _SCALE_BITS / columns,
                lambda w, bits=bits: per_row(w, bits), f"{steps} even steps for each row: one far weight spoils a row only.",
            ),
            (
                "blocks of 32", 32, lambda _rows, _columns, bits=bits: bits + _SCALE_BITS / 32,
                lambda w, bits=bits: per_block(w, bits, 32), f"{steps} even steps for every 32 weights: GGUF's {'Q8_0' if bits == 8 else 'Q4_1'} is close to it.",
            ),
        )  # fmt: skip
        for shared, multiple, cost, store, words in shares:
            name = f"Min-max, {bits} bits, {shared}"
            found.append(Method(MethodKind.SCALAR, name, words, multiple, cost, store))
    return found


def _codebook_methods() -> list[Method]:
    shapes = (
        ("k-means, 16 values", 1, 16, "16 values where the weights are, found by k-means (Deep Compression)."),
        ("Product quantization, 2 weights, 256 vectors", 2, 256, "Pairs of weights become one of 256 learned pairs."),
        ("Product quantization, 4 weights, 256 vectors", 4, 256, "Four weights become one of 256 learned fours."),
    )

    def cost(dimensions: int, entries: int) -> Callable[[int, int], float]:
        table = dimensions * entries * 16
        return lambda rows, columns: math.log2(entries) / dimensions + table / (rows * columns)

    return [
        Method(
            MethodKind.CODEBOOK, name, f"{words} {_NOT_IN_GGUF}", dimensions, cost(dimensions, entries),
            lambda w, dimensions=dimensions, entries=entries: by_codebook(w, dimensions, entries),
        )
        for name, dimensions, entries, words in shapes
    ]  # fmt: skip


def _gguf_method(name: str) -> Method:
    kind = tensor_type(name)
    bits = kind.block_bytes * 8 / kind.block
    return Method(MethodKind.GGUF, name, GGUF_TYPES[name], kind.block, lambda *_: bits, lambda w: stored_as(w, name))


def stored_as(weights: Rows, type: str) -> Rows:
    """What is read again of weights that ggml stored in this type."""
    return np.asarray(dequantize(quantize_rows(weights, type), gguf.GGMLQuantizationType[type]), np.float32)
