"""What each way of storing a tensor in fewer bits would do to its weights: RMSE and signal-to-noise, as a table.

Errors of the weights alone. How much a model minds them differs from tensor to tensor: see `app.inspect.suggesting`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import gguf
import numpy as np
from gguf.quants import dequantize
from numpy.typing import NDArray

from app.engine.ggml_library import quantize_rows, tensor_type
from app.errors import Cancelled
from app.inspect.messages import MethodError, MethodKind
from app.inspect.tensors import SEED, Rows
from app.operation import ShouldStop

_NOT_IN_GGUF = "No GGUF type stores it: to compare with, not to use."
_SCALE_BITS, _BLOCK = 32, 32
"""A scale and a minimum take 16 bits each; blocks are as long as those of ggml's simple types."""

GGUF_TYPES = {
    "Q8_0": "Blocks of 32 share a scale; 8 bits each. Nothing lost that can be noticed.",
    "Q6_K": "256 weights with 16 scales of 8 bits: very close to the source.",
    "Q5_K": "256 weights with 8 scales and minimums of 6 bits, 5 bits a weight.",
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
    """The table for a tensor of `rows` rows, of which `weights` are all or some, finite. Raises Cancelled."""
    return tuple(_error(method, weights, rows, stop) for method in methods())


def methods() -> tuple[Method, ...]:
    """All of them, in the order of the table."""
    return (*_scalar_methods(), *_codebook_methods(), *map(_gguf_method, GGUF_TYPES))


def root_mean_square(weights: Rows) -> float:
    """The root of the mean square, in f64."""
    return math.sqrt(float(np.square(weights, dtype=np.float64).mean())) if weights.size else 0.0


def _error(method: Method, weights: Rows, rows: int, stop: ShouldStop) -> MethodError:
    if stop():
        raise Cancelled
    columns = weights.shape[1]
    bits = method.bits(rows, columns)
    if columns % method.multiple:
        problem = (
            f"Does not fit this tensor: its rows have {columns:,} weights, which {method.multiple} does not divide."
        )
        return MethodError(method.kind, method.name, bits, 0.0, 0.0, method.words, problem)
    error, signal = root_mean_square(weights - method.store(weights)), root_mean_square(weights)
    exact = error == 0.0
    noise = 0.0 if exact or signal == 0.0 else 20 * math.log10(signal / error)
    return MethodError(method.kind, method.name, bits, error, noise, method.words, exact=exact)


def _scalar_methods() -> tuple[Method, ...]:
    return tuple(method for bits in (8, 4) for method in _min_max_methods(bits))


def _min_max_methods(bits: int) -> tuple[Method, ...]:
    steps, kind, name = 2**bits, MethodKind.SCALAR, f"Min-max, {bits} bits"
    near = "Q8_0" if bits == 8 else "Q4_1"
    return (
        Method(
            kind,
            f"{name}, whole tensor",
            f"{steps} even steps from the tensor's smallest weight to its largest: one far weight spoils all.",
            1,
            lambda rows, columns: bits + _SCALE_BITS / (rows * columns),
            lambda weights: per_tensor(weights, bits),
        ),
        Method(
            kind,
            f"{name}, each row",
            f"{steps} even steps for each row: one far weight spoils its row only.",
            1,
            lambda _rows, columns: bits + _SCALE_BITS / columns,
            lambda weights: per_row(weights, bits),
        ),
        Method(
            kind,
            f"{name}, blocks of {_BLOCK}",
            f"{steps} even steps for every {_BLOCK} weights of a row. GGUF's {near} is close to it.",
            _BLOCK,
            lambda _rows, _columns: bits + _SCALE_BITS / _BLOCK,
            lambda weights: per_block(weights, bits, _BLOCK),
        ),
    )


def _codebook_methods() -> tuple[Method, ...]:
    return (
        _codebook_method("k-means, 16 values", 1, 16, "16 values where the weights are (Deep Compression)."),
        _codebook_method(
            "Product quantization, pairs", 2, 256, "Two weights become one of 256 pairs, learned from 32,768 at most."
        ),
        _codebook_method(
            "Product quantization, fours", 4, 256, "Four weights become one of 256 fours, learned from 32,768 at most."
        ),
    )


def _codebook_method(name: str, dimensions: int, entries: int, words: str) -> Method:
    table_bits = dimensions * entries * 16
    return Method(
        MethodKind.CODEBOOK,
        name,
        f"{words} {_NOT_IN_GGUF}",
        dimensions,
        lambda rows, columns: math.log2(entries) / dimensions + table_bits / (rows * columns),
        lambda weights: by_codebook(weights, dimensions, entries),
    )


def _gguf_method(name: str) -> Method:
    kind = tensor_type(name)
    bits = kind.block_bytes * 8 / kind.block
    return Method(MethodKind.GGUF, name, GGUF_TYPES[name], kind.block, lambda *_: bits, lambda w: stored_as(w, name))


def stored_as(weights: Rows, type: str) -> Rows:
    """What is read again of weights that ggml stored in this type."""
    return np.asarray(dequantize(quantize_rows(weights, type), gguf.GGMLQuantizationType[type]), np.float32)


# Min-max quantization: every weight becomes the nearest of evenly spaced values between the smallest and the largest.
#
# The oldest scheme there is, asymmetric (a scale and a minimum), as in Jacob et al. 2018, arXiv 1712.05877. What
# differs is how many weights share a scale: all of a tensor, a row, or a block of neighbours in a row.


def min_max(weights: Rows, bits: int) -> Rows:
    """`weights` `[group, weight]` rounded to 2^bits values a group; scale and minimum in f32."""
    low = weights.min(axis=1, keepdims=True)
    step = (weights.max(axis=1, keepdims=True) - low) / np.float32(2**bits - 1)
    safe = np.where(step > 0, step, np.float32(1))
    return np.asarray(low + np.rint((weights - low) / safe) * safe, np.float32)


def per_tensor(weights: Rows, bits: int) -> Rows:
    """One scale for all."""
    return min_max(weights.reshape(1, -1), bits).reshape(weights.shape)


def per_row(weights: Rows, bits: int) -> Rows:
    """A scale a row (an output channel)."""
    return min_max(weights, bits)


def per_block(weights: Rows, bits: int, block: int) -> Rows:
    """A scale for each `block` neighbours of a row; the columns are a multiple of it."""
    return min_max(weights.reshape(-1, block), bits).reshape(weights.shape)


# Quantization with a learned table of values: k-means over single weights, and over short vectors of them.
#
# k-means: Lloyd 1982, "Least squares quantization in PCM", started as k-means++ (Arthur and Vassilvitskii 2007).
# Shared weights: Han et al. 2016, "Deep Compression", arXiv 1510.00149. Product quantization: Jégou et al. 2011,
# TPAMI 33(1); of weights: Gong et al. 2014, arXiv 1412.6115.


_TRAINING_VECTORS = 1 << 15
_ROUNDS = 15
_STRETCH = 1 << 14
"""Vectors compared at once with all centres: 16 MB of distances for 256 of them."""


def by_codebook(weights: Rows, dimensions: int, entries: int) -> Rows:
    """Each `dimensions` neighbouring weights of a row become the nearest of `entries` vectors learned from them.

    The columns are a multiple of `dimensions`. The table is trained on at most 32,768 of the vectors.
    """
    vectors = weights.reshape(-1, dimensions)
    centres = codebook(vectors, entries)
    return centres[nearest(vectors, centres)].reshape(weights.shape)


def codebook(vectors: Rows, entries: int) -> Rows:
    """Centres `[entry, dimension]` of k-means; the same for the same vectors."""
    random = np.random.default_rng(SEED)
    if len(vectors) > _TRAINING_VECTORS:
        vectors = vectors[random.choice(len(vectors), _TRAINING_VECTORS, replace=False)]
    centres = _first_centres(vectors, entries, random)
    for _ in range(_ROUNDS):
        centres, moved = _improved(vectors, centres)
        if not moved:
            break
    return centres


def nearest(vectors: Rows, centres: Rows) -> NDArray[np.int64]:
    """Number of the nearest centre of each vector."""
    if centres.shape[1] == 1:
        order = np.argsort(centres[:, 0])
        middles = (centres[order[1:], 0] + centres[order[:-1], 0]) / 2
        return order[np.searchsorted(middles, vectors[:, 0])]
    lengths = (centres**2).sum(axis=1) / 2
    stretches = (vectors[start : start + _STRETCH] for start in range(0, len(vectors), _STRETCH))
    return np.concatenate([np.argmax(part @ centres.T - lengths, axis=1) for part in stretches])


def _first_centres(vectors: Rows, entries: int, random: np.random.Generator) -> Rows:
    """k-means++: each next centre is drawn with a chance that grows with its squared distance from those there are."""
    centres = np.empty((entries, vectors.shape[1]), np.float32)
    distance = np.full(len(vectors), np.inf, np.float32)
    chosen = int(random.integers(len(vectors)))
    for number in range(entries):
        centres[number] = vectors[chosen]
        np.minimum(distance, ((vectors - centres[number]) ** 2).sum(axis=1), out=distance)
        sums = np.cumsum(distance, dtype=np.float64)
        chosen = int(np.searchsorted(sums, random.random() * sums[-1])) if sums[-1] > 0 else 0
        chosen = min(chosen, len(vectors) - 1)
    return centres


def _improved(vectors: Rows, centres: Rows) -> tuple[Rows, bool]:
    """Each centre in the middle of its vectors; one that has none stays where it is."""
    numbers = nearest(vectors, centres)
    counts = np.bincount(numbers, minlength=len(centres))
    sums = [np.bincount(numbers, column, len(centres)) for column in vectors.T.astype(np.float64)]
    middles = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]).astype(np.float32)
    new = np.where(counts[:, None] > 0, middles, centres)
    return new, not np.allclose(new, centres, rtol=1e-4, atol=0)
