"""A folder of safetensors, checked before any of it is used, and read a stretch of rows at a time.

Format: the README of github.com/huggingface/safetensors: 8 bytes length, JSON header, then the tensors without gaps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import ConversionError
from app.library.gguf_reader import printable
from app.system.files import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_HEADER_LIMIT = 100_000_000
_DTYPES: dict[str, Any] = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")
"""Ends of the names of what older versions of transformers saved and no model reads, of whatever type."""
_MAY_BE_MISSING = ("lm_head.weight", *BUFFERS)
"""An index may list the output matrix of a model that uses its token embedding for it."""
_QUANTIZED = ("I8", "U8", "F8_E4M3", "F8_E5M2", "I32", "F4", "F8_E8M0")


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor on disk. `dtype` is safetensors' name; BF16 is read as its 16 bits."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size of the tensor on disk."""
        return self.elements * int(np.dtype(_DTYPES[self.dtype]).itemsize)

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` of the first dimension, as they lie on disk. Raises ConversionError."""
        width = prod(self.shape[1:])
        kind = np.dtype(_DTYPES[self.dtype]).newbyteorder("<")
        try:
            with self.file.open("rb") as file:
                file.seek(self.offset + start * width * kind.itemsize)
                data = np.fromfile(file, kind, (stop - start) * width)
        except OSError as error:
            raise ConversionError(
                f"“{self.file.name}” could not be read to its end: {error.strerror or error}.",
                "See that the folder and its drive are still there, then convert again.",
            ) from error
        if data.size != (stop - start) * width:
            raise ConversionError(f"“{self.file.name}” ended before “{printable(self.name)}” did; it was changed.")
        return data.reshape(stop - start, *self.shape[1:])


def as_float32(data: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """The values of what `rows` returned. A bfloat16 is the upper half of a float32."""
    if dtype == "BF16":
        return (data.astype(np.uint32) << 16).view(np.float32)
    return data.astype(np.float32)


def has_no_number(data: NDArray[Any], dtype: str) -> bool:
    """Whether a NaN or an infinity is among the values: their exponent is all ones."""
    if dtype == "BF16":
        return bool(((data & 0x7F80) == 0x7F80).any())
    return not bool(np.isfinite(data).all())


def open_checkpoint(folder: Path) -> dict[str, SourceTensor]:
    """Every tensor of the folder by its name, in the order of the files. Raises ConversionError."""
    files, index = _files(folder)
    tensors: dict[str, SourceTensor] = {}
    for file in files:
        for tensor in _read_file(file):
            if tensor.name in tensors:
                raise _damaged(file, f"“{printable(tensor.name)}” is in two files")
            tensors[tensor.name] = tensor
    if index is not None and (wrong := _difference(index, tensors)):
        raise ConversionError(
            f"The index names other tensors than the files hold: “{printable(wrong)}”.",
            "Download the model again, all of its files from one version.",
        )
    if not tensors:
        raise ConversionError("There is no tensor in the safetensors.")
    return tensors


def _files(folder: Path) -> tuple[list[Path], dict[str, str] | None]:
    """The files, in transformers' order of preference: an index beside a whole file is of an earlier save."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE], None
    if (folder / INDEX).is_file():
        return _indexed_files(folder)
    pickles = [path for kind in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(kind)]
    if pickles:
        raise ConversionError(
            f"The weights are in “{pickles[0].name}”, a pickle, which can run any program when it is opened.",
            "Look for a version of the model with safetensors.",
        )
    others = sorted(folder.glob("*.safetensors"))
    if len(others) == 1:
        return others, None
    what = f"“{INDEX}” is missing" if others else "no safetensors"
    raise ConversionError(f"There are no weights that can be read in {folder.name}: {what}.", "Download all its files.")


def _indexed_files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    try:
        index = dict(read_json(folder / INDEX)["weight_map"])
        names = sorted(set(index.values()))
        plain = all(isinstance(name, str) and Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConversionError(f"“{INDEX}” cannot be read.", "Download it again.") from error
    if not plain:
        raise ConversionError(f"“{INDEX}” names files outside its folder.", "Look for the model from another author.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ConversionError(
            f"{len(missing)} of the model's {len(names)} files are missing, the first is “{printable(missing[0])}”.",
            "Download the model again; what is here is kept.",
        )
    return [folder / name for name in names], index


def _difference(index: dict[str, str], tensors: dict[str, SourceTensor]) -> str:
    """Name of a tensor that the index and the files disagree about (missing on one side, or in another file); "" where
    they agree.
    """
    found = {name: tensor.file.name for name, tensor in tensors.items()}
    listed = {name: file for name, file in index.items() if name in found or not name.endswith(_MAY_BE_MISSING)}
    return next((name for name in (*listed, *found) if index.get(name) != found.get(name)), "")


def _read_file(file: Path) -> Iterator[SourceTensor]:
    header, start, size = _header(file)
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensor, begin, end = _tensor(file, name, entry, start)
        spans.append((begin, end))
        if tensor is not None:
            yield tensor
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise _damaged(file, "its tensors overlap or leave gaps")
        at = end
    if start + at > size:
        raise ConversionError(
            f"“{file.name}” is cut off: {start + at - size:,} bytes are missing.",
            "Download it again, or go on with the download.",
        )
    if start + at < size:
        raise _damaged(file, "there is more in it than its header says")


def _header(file: Path) -> tuple[dict[str, Any], int, int]:
    """Returns the header, the offset at which the tensors begin, and the size of the file."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
                raise _damaged(file, "it has no header")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise ConversionError(f"“{file.name}” could not be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(file, "its header is not an object")
    return header, 8 + length, size


def _tensor(file: Path, name: str, entry: Any, start: int) -> tuple[SourceTensor | None, int, int]:
    """Returns the tensor, None for a buffer, and the offsets at which it begins and ends, counted from the start of
    the first tensor.
    """
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        whole = all(isinstance(number, int) and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(file, f"“{printable(name)}” is not described") from error
    if not whole:
        raise _damaged(file, f"“{printable(name)}” has numbers that cannot be")
    if name.endswith(BUFFERS) and dtype not in _DTYPES:
        return None, begin, end
    if dtype in _QUANTIZED:
        raise ConversionError(
            f"The weights are stored as {dtype}: the model is quantized already, in a way that cannot be converted.",
            "Take the original model, in 16 bits.",
        )
    if dtype not in _DTYPES:
        raise ConversionError(f"“{printable(name)}” has the type {printable(str(dtype))}, which is not a weight's.")
    tensor = SourceTensor(name, dtype, shape, file, start + begin)
    if end - begin != tensor.size_bytes:
        raise _damaged(file, f"“{printable(name)}” has another size than its shape says")
    return tensor, begin, end


def _damaged(file: Path, what: str) -> ConversionError:
    return ConversionError(f"“{file.name}” is damaged: {what}.", "Download it again.")


# Sorts tensors by transformer block, from their names; the others are the embedding, the last norm and the output
# matrix.


_BLOCK = re.compile(r"\.\d+\.")


class Shaped(Protocol):
    """A tensor, written already or planned."""

    @property
    def name(self) -> str:
        """The tensor's name in the folder."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions, rows first."""


T = TypeVar("T", bound=Shaped)


def by_block(tensors: Iterable[T]) -> tuple[list[list[T]], list[T]]:
    """The tensors of each block, and all other tensors."""
    blocks: dict[str, list[T]] = {}
    others: list[T] = []
    for tensor in tensors:
        found = _BLOCK.search(tensor.name)
        (blocks.setdefault(tensor.name[: found.end()], []) if found else others).append(tensor)
    return list(blocks.values()), others


def embedding_shape(others: Iterable[Shaped]) -> tuple[int, int]:
    """Size of the vocabulary, and the width of the residual stream."""
    vocabulary, width = max((t.shape for t in others if len(t.shape) == 2), key=prod)
    return vocabulary, width
