"""Moves tensors between the disk and torch: read into float32, written in the type they had, a stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from app.convert.checkpoint import SourceTensor
from app.prune.method import Inputs
from app.prune.refit import refit, refit_with_bias

TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""torch's types by safetensors' names."""
_STRETCH_BYTES = 16 << 20


def stretches(tensor: SourceTensor) -> Iterator[tuple[int, Tensor]]:
    """The tensor in stretches of whole rows, in its own type, each with the number of its first row."""
    rows = tensor.shape[0] if tensor.shape else 1
    step = max(1, _STRETCH_BYTES * rows // max(tensor.size_bytes, 1))
    for start in range(0, rows, step):
        yield start, _rows(tensor, start, min(start + step, rows))


def read_rows(tensor: SourceTensor, numbers: list[int]) -> Tensor:
    """Read these rows into float32, [len(numbers), ...]."""
    values = torch.empty(len(numbers), *tensor.shape[1:])
    for place, number in enumerate(numbers):
        values[place] = _rows(tensor, number, number + 1)[0]
    return values


def read_float32(tensor: SourceTensor) -> Tensor:
    """Read the whole tensor into float32."""
    values = torch.empty(tensor.shape)
    for start, rows in stretches(tensor):
        values[start : start + len(rows)] = rows
    return values


def round_to(values: Tensor, dtype: str) -> None:
    """Round float32 values in place to what `dtype` can hold."""
    for part in parts(values):
        part.copy_(part.to(TORCH_TYPES[dtype]))


def as_bytes(values: Tensor, dtype: str) -> Iterator[memoryview]:
    """The bytes of the values as a safetensors file has them."""
    for part in parts(values):
        stored = part.to(TORCH_TYPES[dtype]).contiguous().flatten()
        yield stored.view(torch.uint8).numpy().data


def parts(values: Tensor, elements: int = _STRETCH_BYTES // 4) -> Iterator[Tensor]:
    """Views of whole rows, each of about `elements` values, at least one row."""
    step = max(1, elements * len(values) // max(values.numel(), 1))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _rows(tensor: SourceTensor, start: int, stop: int) -> Tensor:
    data = tensor.rows(start, stop)
    if tensor.dtype == "BF16":
        return torch.from_numpy(data.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(data)


def linear_layers(block: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a block by their name inside it, in their order."""
    return {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}


# Smaller linear layers from larger ones: some rows of the output are kept, or some columns of the input.


def keep_rows(linear: nn.Linear, rows: Tensor) -> nn.Linear:
    """The layer with only the outputs numbered in `rows`, and their biases."""
    bias = None if linear.bias is None else linear.bias.data[rows]
    return linear_of(linear.weight.data[rows], bias)


def keep_columns(linear: nn.Linear, columns: Tensor, inputs: Inputs | None) -> nn.Linear:
    """The layer with only the inputs numbered in `columns`. Given `inputs` with their Gram matrix, weights and bias are
    fitted to the output that all inputs gave.
    """
    weight = linear.weight.data
    if inputs is None or inputs.gram is None:
        return linear_of(weight[:, columns], linear.bias)
    if linear.bias is None or inputs.sums is None:
        return linear_of(refit(weight, inputs.gram, columns), linear.bias)
    return linear_of(*refit_with_bias(weight, linear.bias.data, inputs.gram, inputs.sums, inputs.tokens, columns))


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer with this `weight` [out_features, in_features]."""
    linear = nn.Linear(1, 1, bias=False)
    linear.out_features, linear.in_features = weight.shape
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return linear
