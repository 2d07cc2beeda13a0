"""Importance matrices: the sums while they are collected, and llama.cpp's files, which are written and read.

Format: llama.cpp's tools/imatrix/imatrix.cpp (`save_imatrix`) and common/imatrix-loader.cpp. A GGUF file holds for each
matrix `<name>.in_sum2`, the sum over all tokens of the squares of each input column, one row an expert, and
`<name>.counts`, the number of tokens. The older `.dat` holds means times a number of calls.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from app.engine.activations import Activation
from app.errors import QuantizeError, StorageError

_BLOCK_ROWS = 64
"""Squared at once: what fits in a core's own cache."""
_MAX_ENTRIES, _MAX_NAME, _MAX_VALUES = 100_000, 4096, 1 << 28
_SUMS, _COUNTS = ".in_sum2", ".counts"

Importance = dict[str, NDArray[np.float32]]


@dataclass(slots=True)
class Sums:
    """The sums of one weight: squares `[matrix, column]` in f64, and how many rows went into each matrix."""

    squares: NDArray[np.float64]
    counts: NDArray[np.int64]


class Collector:
    """Sums of squares of the inputs of each weight. Call it with every activation."""

    def __init__(self) -> None:
        self.entries: dict[str, Sums] = {}
        self._last: tuple[int, int, Sums] | None = None

    def __call__(self, activation: Activation) -> None:
        """Add one. Raises QuantizeError where the model computes infinities or NaN."""
        if self._last and self._last[:2] == (activation.input, activation.matrices):
            new = self._last[2]  # the matrix before had the same input
        else:
            new = _expert_sums(activation) if activation.experts is not None else _dense_sums(activation)
            if not np.isfinite(new.squares).all():
                raise QuantizeError(
                    f"The model computes values that are not numbers, first at {activation.weight}.",
                    "Its weights are damaged, or too large for their type: convert it to f32 or bf16.",
                )
            self._last = (activation.input, activation.matrices, new)
        known = self.entries.get(activation.weight)
        if known is None:
            self.entries[activation.weight] = Sums(new.squares.copy(), new.counts.copy())
        else:
            known.squares += new.squares
            known.counts += new.counts

    def unused_experts(self) -> int:
        """Experts that no token was sent to, over all weights."""
        return sum(int((sums.counts == 0).sum()) for sums in self.entries.values())


def _column_squares(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum over the rows of the squares of each column."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        total += np.square(block).sum(axis=0)
    return total


def _dense_sums(activation: Activation) -> Sums:
    """One count for the whole weight, as in llama-imatrix; stacked matrices take turns over the outer axes."""
    rows = activation.rows
    outer = rows.reshape(-1, *rows.shape[2:]) if rows.shape[0] > 1 else rows[0]
    squares = np.zeros((activation.matrices, rows.shape[3]))
    for number, plane in enumerate(outer):
        squares[number % activation.matrices] += _column_squares(plane)
    return Sums(squares, np.array([rows[..., 0].size // activation.matrices]))


def _expert_sums(activation: Activation) -> Sums:
    """Each token counts for the experts that it was sent to."""
    assert activation.experts is not None
    rows, experts = activation.rows[0], activation.experts
    squares = np.zeros((activation.matrices, rows.shape[2]))
    counts = np.bincount(experts.ravel(), minlength=activation.matrices)
    for expert in np.flatnonzero(counts):
        tokens, choices = np.nonzero(experts == expert)
        squares[expert] = _column_squares(rows[tokens, choices % rows.shape[1]])
    return Sums(squares, counts.astype(np.int64))


def write_importance(
    path: Path, entries: Mapping[str, Sums], dataset: str, chunks: int, chunk_tokens: int, about: Mapping[str, str]
) -> None:
    """Write `path` as llama-imatrix would, by way of `*.part`. `about` adds keys that others ignore. Raises
    StorageError; the part is removed then."""
    part = path.with_name(path.name + ".part")
    try:
        writer = gguf.GGUFWriter(part, arch="")  # no architecture: there is no model in the file
        writer.add_type("imatrix")
        writer.add_array("imatrix.datasets", [dataset])
        writer.add_uint32("imatrix.chunk_count", chunks)
        writer.add_uint32("imatrix.chunk_size", chunk_tokens)
        for key, value in about.items():
            writer.add_string(key, value)
        for name, sums in sorted(entries.items()):
            writer.add_tensor(name + _SUMS, sums.squares.astype(np.float32))
            writer.add_tensor(name + _COUNTS, sums.counts.astype(np.float32)[:, None])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"The importance matrix {path.name} could not be written: {error.strerror or error}.",
            "Free some space, or choose another folder.",
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read(path: Path) -> Importance:
    """Mean squares by weight, one flat f32 array over experts and columns, as llama-quantize passes them on.

    Raises QuantizeError where the file is not an importance matrix or damaged, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        entries = _read_gguf(path) if is_gguf else _read_legacy(path.read_bytes())
    except QuantizeError:
        raise
    except OSError as error:
        sentence = f"The importance matrix {path.name} could not be read: {error.strerror or error}."
        raise QuantizeError(sentence) from error
    except Exception as error:  # gguf's reader raises whatever numpy raises for a damaged file
        raise _damaged(path) from error
    if not entries or not all(_is_sound(values) for values in entries.values()):
        raise _damaged(path)
    return entries


def _damaged(path: Path) -> QuantizeError:
    return QuantizeError(
        f"{path.name} is not an importance matrix, or is damaged.",
        "Take a file made by llama-imatrix or Bantam, or collect a new one.",
    )


def _is_sound(values: NDArray[np.float32]) -> bool:
    return bool(values.size and np.isfinite(values).all() and (values >= 0).all())


def _read_gguf(path: Path) -> Importance:
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    names = {name.removesuffix(end) for name in tensors for end in (_SUMS, _COUNTS) if name.endswith(end)}
    entries: Importance = {}
    for name in sorted(names):
        squares, counts = tensors.get(name + _SUMS), tensors.get(name + _COUNTS)
        if squares is None or counts is None:
            raise _damaged(path)
        for tensor in (squares, counts):
            if tensor.tensor_type is not gguf.GGMLQuantizationType.F32:
                raise _damaged(path)
        seen = np.rint(counts.data.reshape(-1, 1))
        sums = squares.data.reshape(len(seen), -1)
        # Where no token was seen all columns weigh the same, as in llama-quantize.
        means = np.where(seen > 0, sums / np.maximum(seen, 1), np.float32(1))
        entries[name] = means.astype(np.float32).ravel()
    return entries


def _read_legacy(data: bytes) -> Importance:
    """Raises struct.error or ValueError for what is no such file."""
    (count,), at = struct.unpack_from("<i", data), 4
    if not 0 < count <= _MAX_ENTRIES:
        raise ValueError("number of entries")
    entries: Importance = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<i", data, at)
        if not 0 < length <= _MAX_NAME:
            raise ValueError("length of a name")
        name = struct.unpack_from(f"{length}s", data, at + 4)[0].decode()
        calls, values = struct.unpack_from("<ii", data, at + 4 + length)
        if not 0 < values <= _MAX_VALUES:
            raise ValueError("number of values")
        at += 12 + length
        sums = np.frombuffer(data, "<f4", values, at)
        entries[name] = (sums / max(1, calls)).astype(np.float32)
        at += 4 * values
    return entries
