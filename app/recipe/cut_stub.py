"""The folder that a uniform cut would make, without its weights: config.json and sparse safetensors.

From it a conversion is planned as from any folder, so that the size of what a recipe makes is exact before it begins.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from app.convert.checkpoint import SourceTensor, open_checkpoint
from app.convert.configuration import Config, read_config
from app.prune.other_architecture import Housed, Widths, housed, widths_of
from app.recipe.shape import Shape

_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.(.+)$")
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_NOT_COPIED = (".safetensors", ".gguf", ".bin", ".part")
_LARGEST_COPY = 100_000_000
"""The largest tokenizers take 40 MB."""


@dataclass(frozen=True, slots=True)
class StubTensor:
    """A tensor that is not there: safetensors' type, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """As it would lie on disk."""
        return prod(self.shape) * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class CutStub:
    """A folder's configuration and tensors."""

    config: dict[str, Any]
    tensors: tuple[StubTensor, ...]

    @property
    def parameters(self) -> int:
        """Weights that are stored."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def size_bytes(self) -> int:
        """Of all tensors, without headers."""
        return sum(tensor.size_bytes for tensor in self.tensors)


def cut_stub(source: Path, shape: Shape) -> CutStub:
    """What is left of the folder `source` in that shape; all layers alike. Raises ConversionError, PruneError."""
    config, tensors = read_config(source), open_checkpoint(source)
    values = _shorter(config.values, shape.layers)
    before = widths_of(values)[0]
    after = Widths(shape.kv_groups * shape.heads_a_group, shape.kv_groups, shape.ffn)
    uniform = len(set(widths_of(values))) == 1
    # The means of layers that differ are no widths of any: what is known of them is what they were.
    moved = housed(values, [after] * shape.layers) if uniform and after != before else Housed({})
    values = {name: value for name, value in (values | moved.changes).items() if value is not None}
    kept = list(_kept(tensors.values(), config, before, after if uniform else before, shape.layers))
    if moved.zero_output_bias:
        named = next(tensor for tensor in kept if tensor.name.endswith("self_attn.o_proj.weight"))
        names = (re.sub(r"\.\d+\.", f".{n}.", named.name, count=1) for n in range(shape.layers))
        kept += [StubTensor(name.removesuffix("weight") + "bias", named.dtype, (config.width,)) for name in names]
    return CutStub(values, tuple(kept))


def write_stub(stub: CutStub, folder: Path, source: Path) -> None:
    """Write the folder: the tokenizer is the source's own, the weights are a hole. Raises OSError."""
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(_NOT_COPIED) and file.stat().st_size <= _LARGEST_COPY:
            shutil.copy(file, folder)
    for name in ("model.safetensors.index.json", "manifest.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(stub.config))
    header: dict[str, Any] = {}
    at = 0
    for tensor in stub.tensors:
        end = at + tensor.size_bytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]}
        at = end
    # Format: the README of github.com/huggingface/safetensors.
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = folder / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(file, 8 + len(text) + at)


def _shorter(values: dict[str, Any], layers: int) -> dict[str, Any]:
    """The language model's values alone, said to have so many layers."""
    changed = {name: value for name, value in values.items() if name != "text_config"}
    changed["num_hidden_layers"] = layers
    for name, value in changed.items():
        if name == "layer_types" or (isinstance(value, list) and name in _PER_LAYER):
            changed[name] = value[:layers]
    return changed


_PER_LAYER = ("intermediate_size", "num_attention_heads", "num_key_value_heads")


def _kept(tensors: Any, config: Config, before: Widths, after: Widths, layers: int) -> Iterator[StubTensor]:
    for tensor in tensors:
        found = _LAYER.search(tensor.name)
        if found is None:
            yield StubTensor(tensor.name, tensor.dtype, tensor.shape)
        elif int(found[1]) < layers:
            yield StubTensor(tensor.name, tensor.dtype, _shape(tensor, found[2], config, before, after))


def _shape(tensor: SourceTensor, name: str, config: Config, before: Widths, after: Widths) -> tuple[int, ...]:
    """Rows of what makes heads or neurons, columns of what takes them up."""
    rows = {
        "q_proj": (before.heads * config.head, after.heads * config.head),
        "k_proj": (before.kv_heads * config.head, after.kv_heads * config.head),
        "v_proj": (before.kv_heads * config.head, after.kv_heads * config.head),
        "gate_proj": (before.ffn, after.ffn),
        "up_proj": (before.ffn, after.ffn),
    }
    columns = {"o_proj": rows["q_proj"], "down_proj": (before.ffn, after.ffn)}
    module = name.split(".")[-2] if "." in name else ""
    shape = list(tensor.shape)
    if module in rows and shape[0] == rows[module][0]:
        shape[0] = rows[module][1]
    elif module in columns and len(shape) == 2 and shape[1] == columns[module][0]:
        shape[1] = columns[module][1]
    return tuple(shape)
