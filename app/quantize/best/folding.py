"""AWQ: what is large in an input is made small there and large in the weights, so that rounding hurts it less.

Dividing a column of an input by s and multiplying the matrices' column by s changes nothing in what is computed, but
which weights are rounded well. The division goes into what makes the input: the norm before it, or the rows of the
matrix before it where only a product lies between. Method: Lin et al., "AWQ" (arXiv 2306.00978), s = mean|x|^a with the
a that leaves the smallest error of the outputs. The s are powers of two here: then a 16-bit weight times s is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize
from numpy.typing import NDArray

from app.quantize.best.inputs import Columns, Matrix
from app.quantize.best.mapped_tensors import MappedFile, MappedTensor

_EXPONENTS = np.linspace(0, 1, 11)[1:]
"""Exponents of mean|x|; 0 would change nothing."""
_ROWS = 256
"""Rows of each matrix whose errors are computed: enough to choose one number a layer."""
_STRETCH = 32
"""Weights that share a scale, in all formats that are made here."""
_GAIN = 0.98
"""An error that is not smaller than so much of the unfolded one is not worth a change."""

Exponents = NDArray[np.int32]
"""`[column]`: the powers of two of s."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One place where a scale can move: out of `makers`, divided by s, into `consumers`, multiplied by it.

    A maker that is a matrix is divided by rows, the last `len(s)` of them; a vector by elements.
    """

    makers: tuple[str, ...]
    consumers: tuple[str, ...]


def folds_of(shapes: Mapping[str, tuple[int, ...]]) -> list[Fold]:
    """The places of a model, by the names and shapes (columns first) of its tensors."""
    layers = {int(name.split(".")[1]) for name in shapes if name.startswith("blk.")}
    return [fold for layer in sorted(layers) for fold in _folds_of_layer(f"blk.{layer}.", shapes)]


def _folds_of_layer(layer: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Fold]:
    def present(*names: str) -> tuple[str, ...]:
        return tuple(layer + name for name in names if layer + name in shapes)

    folds = []
    for norm, consumers in (
        ("attn_norm", present("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight")),
        ("ffn_norm", present("ffn_gate.weight", "ffn_up.weight")),
    ):
        # With one norm for both halves of a layer (parallel residual) it makes more than one input.
        both = layer + "ffn_norm.weight" in shapes or layer + "ffn_up.weight" not in shapes
        if present(f"{norm}.weight") and consumers and both:
            folds.append(Fold(present(f"{norm}.weight", f"{norm}.bias"), consumers))
    up, down = present("ffn_up.weight"), present("ffn_down.weight")
    # Only a product lies between up and down where there is a gate, alone or in the first rows of up.
    if up and down and (present("ffn_gate.weight") or shapes[up[0]][1] == 2 * shapes[down[0]][0]):
        folds.append(Fold(present("ffn_up.weight", "ffn_up.bias"), down))
    return folds


def choose(weights: Collection[Matrix], columns: Columns, *, symmetric: bool) -> Exponents:
    """The powers of two for one input and the matrices `[row, column]` that read it; zeros where nothing is gained."""
    samples, size = columns.samples, np.maximum(columns.mean_absolute, 1e-6)
    picked = [matrix[:: max(1, len(matrix) // _ROWS)] for matrix in weights]
    unchanged = np.zeros(len(size), np.int32)
    least = _GAIN * _error(picked, samples, unchanged, symmetric)
    best = unchanged
    for power in _EXPONENTS:
        scale = power * np.log2(size)
        candidate = np.rint(scale - (scale.max() + scale.min()) / 2).astype(np.int32)
        error = _error(picked, samples, candidate, symmetric)
        if error < least:
            least, best = error, candidate
    return best


def _error(weights: Collection[Matrix], samples: Matrix, exponents: Exponents, symmetric: bool) -> float:
    """Squared error of the outputs over the samples, were the folded weights rounded."""
    total = 0.0
    for matrix in weights:
        folded = np.ldexp(matrix, exponents)
        difference = np.ldexp(_rounded(folded, symmetric) - folded, -exponents)
        total += float(np.square(samples @ difference.T).sum())
    return total


def _rounded(weights: Matrix, symmetric: bool) -> Matrix:
    """The weights in four bits a stretch, as Q4_0 does it, or with a minimum as Q4_K does."""
    stretches = weights.reshape(len(weights), -1, _STRETCH)
    if symmetric:
        largest = np.take_along_axis(stretches, np.abs(stretches).argmax(axis=2)[..., None], axis=2)
        step, base = largest / np.float32(-8), np.float32(0)
        codes = np.clip(np.rint(_divided(stretches, step)), -8, 7)
    else:
        base = np.minimum(stretches.min(axis=2, keepdims=True), 0)
        step = (stretches.max(axis=2, keepdims=True) - base) / np.float32(15)
        codes = np.clip(np.rint(_divided(stretches - base, step)), 0, 15)
    return np.asarray(codes * step + base, np.float32).reshape(weights.shape)


def _divided(values: Matrix, step: Matrix) -> Matrix:
    return np.divide(values, step, out=np.zeros_like(values), where=step != 0)


def fold_file(path: Path, statistics: Mapping[str, Columns], *, symmetric: bool) -> int:
    """Fold the F32, F16 or BF16 file at `path` where it lies, and scale `statistics` with it; returns how many places
    changed. A process that ends on the way leaves a file that is worth nothing. Raises OSError.
    """
    opened = MappedFile(path, "r+")
    tensors = opened.tensors
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    changed = 0
    for fold in folds_of(shapes):
        columns = statistics.get(fold.consumers[0])
        if columns is None or shapes[fold.consumers[0]][0] % _STRETCH:
            continue
        matrices = [dequantize(tensors[name].data, tensors[name].tensor_type) for name in fold.consumers]
        exponents = choose(matrices, columns, symmetric=symmetric)
        if not exponents.any():
            continue
        for name, matrix in zip(fold.consumers, matrices, strict=True):
            _store(tensors[name], np.ldexp(matrix, exponents))
        for name in fold.makers:
            _divide(tensors[name], exponents)
        _scale_statistics(columns, exponents)
        changed += 1
    opened.flush()
    return changed


def _divide(tensor: MappedTensor, exponents: Exponents) -> None:
    values = dequantize(tensor.data, tensor.tensor_type).copy()
    behind = values[-len(exponents) :]
    behind[:] = np.ldexp(behind, -exponents if values.ndim == 1 else -exponents[:, None])
    _store(tensor, values)


def _store(tensor: MappedTensor, values: Matrix) -> None:
    """Exact: the values are what the tensor held, times powers of two."""
    if tensor.tensor_type is Type.BF16:
        tensor.data[:] = (values.view(np.uint32) >> 16).astype("<u2").view(np.uint8).reshape(tensor.data.shape)
    else:
        tensor.data[:] = values.reshape(tensor.data.shape)


def _scale_statistics(columns: Columns, exponents: Exponents) -> None:
    """What the statistics would be, had they been collected from the folded model."""
    columns.absolute = np.ldexp(columns.absolute, -exponents)
    columns.squares = np.ldexp(columns.squares, -2 * exponents)
    columns.kept = [np.ldexp(kept, -exponents).astype(np.float16) for kept in columns.kept]
