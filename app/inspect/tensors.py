"""The tensors of any model on disk, from headers alone, and rows of one of them as f32: GGUF files and safetensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize
from numpy.typing import NDArray

from app.convert.checkpoint import SourceTensor, as_float32, open_checkpoint
from app.errors import AppError, ModelFileError
from app.inspect.messages import TensorRow
from app.library.gguf_file import parts_of
from app.library.gguf_reader import MAGIC, RawHeader, TensorInfo, printable, read_raw

Rows = NDArray[np.float32]
ReadRows = Callable[[int, int], Rows]
"""Rows `start` to `stop` as f32. Raises ModelFileError, ConversionError."""

_WANTED = frozenset({"split.no", "split.count", "general.alignment"})
_BLOCK = re.compile(r"(?:^|\.)(?:blk|layers|h|blocks)\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that can be read. Its rows are all its dimensions but the last, one after the other."""

    row: TensorRow
    read: ReadRows
    offset: int
    """The place of its first byte in `file`."""
    file: Path

    @property
    def columns(self) -> int:
        """The input channels."""
        return self.row.shape[-1] if self.row.shape else 1

    @property
    def rows(self) -> int:
        """The output channels, of all experts together."""
        return prod(self.row.shape[:-1])

    def rows_at(self, numbers: NDArray[np.int64]) -> Rows:
        """The rows of these ascending numbers, `[row, column]`; neighbours are read together."""
        if not len(numbers):
            return np.empty((0, self.columns), np.float32)
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        runs = np.split(numbers, breaks)
        return np.concatenate([self.read(int(run[0]), int(run[-1]) + 1) for run in runs])


def open_tensors(model: Path) -> dict[str, Tensor]:
    """Every tensor by its name, in the order of the file. Raises ModelFileError, ConversionError."""
    if model.is_dir():
        return {name: _of_folder(tensor) for name, tensor in open_checkpoint(model).items()}
    header = _header(model)
    count, index = (_number(header, key) for key in ("split.count", "split.no"))
    parts = parts_of(model, index, count) if count > 1 else [model]
    found: dict[str, Tensor] = {}
    for part in parts:
        raw = header if part == model else _header(part)
        found |= {info.name: _of_gguf(part, raw.data_start, info) for info in raw.tensors}
    return found


def tensor_named(model: Path, name: str) -> Tensor:
    """One of them. Raises ModelFileError where it is not there (any more)."""
    tensor = open_tensors(model).get(name)
    if tensor is None:
        raise ModelFileError(
            f"“{printable(model.name)}” has no tensor named “{printable(name)}”.",
            "Look at the list of its tensors again.",
        )
    return tensor


def block_of(name: str) -> int:
    """Number of the layer that a tensor belongs to; -1 for none."""
    match = _BLOCK.search(name)
    return int(match[1]) if match else -1


def _header(path: Path) -> RawHeader:
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ModelFileError(f"“{printable(path.name)}” is not a GGUF file.", "Choose a model file or folder.")
            file.seek(0)
            size = path.stat().st_size
            header = read_raw(file, size, _WANTED.__contains__)
    except OSError as error:
        raise _unreadable(path, error) from error
    missing = header.data_start + max((t.offset + t.size_bytes for t in header.tensors), default=0) - size
    if missing > 0:
        raise ModelFileError(
            f"“{printable(path.name)}” is cut off: {missing:,} bytes of its tensors are missing.", "Download it again."
        )
    return header


def _number(header: RawHeader, key: str) -> int:
    value = header.values.get(key, 0)
    return value if isinstance(value, int) else 0


def _of_folder(tensor: SourceTensor) -> Tensor:
    shape = tensor.shape or (1,)

    def read(start: int, stop: int) -> Rows:
        flat = SourceTensor(tensor.name, tensor.dtype, (prod(shape[:-1]), shape[-1]), tensor.file, tensor.offset)
        return as_float32(flat.rows(start, stop), tensor.dtype)

    row = TensorRow(tensor.name, shape, tensor.dtype, tensor.elements, tensor.size_bytes, block_of(tensor.name))
    return Tensor(row, read, tensor.offset, tensor.file)


def _of_gguf(path: Path, data_start: int, info: TensorInfo) -> Tensor:
    shape = info.shape[::-1] or (1,)
    row_bytes = shape[-1] // info.type.block * info.type.block_bytes
    offset = data_start + info.offset

    def read(start: int, stop: int) -> Rows:
        data = _bytes(path, offset + start * row_bytes, (stop - start) * row_bytes).reshape(stop - start, row_bytes)
        return _as_float32(data, info)

    row = TensorRow(info.name, shape, info.type.name, info.elements, info.size_bytes, block_of(info.name))
    return Tensor(row, read, offset, path)


def _bytes(path: Path, offset: int, size: int) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = np.fromfile(file, np.uint8, size)
    except OSError as error:
        raise _unreadable(path, error) from error
    if data.size != size:
        raise ModelFileError(f"“{printable(path.name)}” ended too early; it was changed.", "Look at the model again.")
    return data


def _as_float32(data: NDArray[np.uint8], info: TensorInfo) -> Rows:
    integers = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F64": np.float64}
    if (kind := integers.get(info.type.name)) is not None:
        return data.view(kind).astype(np.float32)
    try:
        return np.asarray(dequantize(data, gguf.GGMLQuantizationType[info.type.name]), np.float32)
    except (KeyError, NotImplementedError) as error:
        raise AppError(
            f"“{printable(info.name)}” is stored as {info.type.name}, whose values cannot be read here yet.",
            "Look at the model that it was made from.",
        ) from error


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(
        f"“{printable(path.name)}” could not be read: {error.strerror or error}.",
        "See that the file and its drive are still there.",
    )


# Which rows of a large tensor are looked at: a random choice with a fixed seed, the same at every look.


SEED = 1
HISTOGRAM_WEIGHTS = 1 << 22
ERROR_WEIGHTS = 1 << 19
"""Some seconds of k-means and of ggml's slowest quantizer on one core."""


def sampled_rows(rows: int, columns: int, weights: int) -> NDArray[np.int64]:
    """Ascending numbers of about `weights / columns` rows, all of them where the tensor has no more weights."""
    count = max(1, min(rows, weights // max(1, columns)))
    if count >= rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))
