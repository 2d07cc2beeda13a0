"""The tensors of a GGUF file that this program wrote, mapped where they lie and, if asked for, writable.

`gguf.GGUFReader` gives the same and reads the whole vocabulary first, which takes a vocabulary of 150,000 tokens
16 seconds each time. Here the file is opened again for every few layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import quant_shape_to_byte_shape
from numpy.typing import NDArray

from app.library.gguf_reader import TensorInfo, read_raw

_TYPED: dict[str, str] = {"F32": "<f4", "F16": "<f2"}


class MappedTensor(NamedTuple):
    """`shape` counts columns first, as the file does. `data` is `[row, column]` for F32 and F16, `[row, byte]` else."""

    name: str
    tensor_type: GGMLQuantizationType
    shape: tuple[int, ...]
    data: NDArray[Any]


class MappedFile:
    """Not for files that another program may shorten meanwhile: a map of such a file ends the process."""

    def __init__(self, path: Path, mode: Literal["r", "r+"] = "r") -> None:
        """Raises ModelFileError, OSError."""
        with path.open("rb") as file:
            header = read_raw(file, path.stat().st_size, lambda key: key == "general.alignment")
        self._bytes = np.memmap(path, np.uint8, mode)
        whole = self._bytes.view(np.ndarray)  # a slice of a memmap costs more than a slice of an array
        self.tensors = {info.name: _mapped(whole, header.data_start, info) for info in header.tensors}

    def flush(self) -> None:
        """Hand what was written into the tensors to the file."""
        self._bytes.flush()


def _mapped(whole: NDArray[np.uint8], data_start: int, info: TensorInfo) -> MappedTensor:
    start = data_start + info.offset
    data: NDArray[Any] = whole[start : start + info.size_bytes]
    kind, shape = GGMLQuantizationType[info.type.name], info.shape[::-1]
    if info.type.name in _TYPED:
        data = data.view(_TYPED[info.type.name]).reshape(shape)
    else:
        data = data.reshape(quant_shape_to_byte_shape(shape, kind))
    return MappedTensor(info.name, kind, info.shape, data)
