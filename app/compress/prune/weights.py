"""Tensors between the disk and torch: read into float32, written in the type they had, a stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from app.compress.convert.checkpoint import SourceTensor

TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""By safetensors' names."""
_STRETCH_BYTES = 16 << 20


def stretches(tensor: SourceTensor) -> Iterator[tuple[int, Tensor]]:
    """The tensor in stretches of whole rows, in its own type, each with the number of its first row."""
    if not tensor.shape:
        return
    rows = tensor.shape[0]
    step = max(1, _STRETCH_BYTES * rows // max(tensor.size_bytes, 1))
    for start in range(0, rows, step):
        yield start, _rows(tensor, start, min(start + step, rows))


def read_rows(tensor: SourceTensor, numbers: list[int]) -> Tensor:
    """These rows in float32, [len(numbers), ...]."""
    values = torch.empty(len(numbers), *tensor.shape[1:])
    for place, number in enumerate(numbers):
        values[place] = _rows(tensor, number, number + 1)[0]
    return values


def read_float32(tensor: SourceTensor) -> Tensor:
    """The whole tensor in float32."""
    values = torch.empty(tensor.shape)
    for start, rows in stretches(tensor):
        values[start : start + len(rows)] = rows
    return values


def round_to(values: Tensor, dtype: str) -> None:
    """Round float32 values in place to what `dtype` can hold."""
    for part in _parts(values):
        part.copy_(part.to(TORCH_TYPES[dtype]))


def as_bytes(values: Tensor, dtype: str) -> Iterator[memoryview]:
    """The values as they lie in a safetensors file."""
    for part in _parts(values):
        stored = part.to(TORCH_TYPES[dtype]).contiguous().flatten()
        yield memoryview(stored.view(torch.uint8).numpy())


def _parts(values: Tensor) -> Iterator[Tensor]:
    if values.ndim == 0:
        yield values
        return
    step = max(1, _STRETCH_BYTES * len(values) // max(4 * values.numel(), 1))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _rows(tensor: SourceTensor, start: int, stop: int) -> Tensor:
    data = tensor.rows(start, stop)
    if tensor.dtype == "BF16":
        return torch.from_numpy(data.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(data)
