"""Turns the tensors of a checkpoint into those of a GGUF file: names, types, and the bytes, a stretch of rows at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from numpy.typing import NDArray

from app.convert.checkpoint import BUFFERS, SourceTensor, as_float32, has_no_number
from app.convert.configuration import Config
from app.convert.families import Family
from app.errors import ConversionError
from app.library.gguf_reader import printable

TYPES = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16, "q8_0": Type.Q8_0}
_STRETCH_BYTES = 16 << 20
"""Bytes of the source that are read at once: few, so that memory stays small and a cancel is seen soon."""
_OTHER_PARTS = ("vision_tower.", "multi_modal_projector.", "vision_model.")


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor of the file to be written. `constant` holds the values of one that is not in the checkpoint."""

    name: str
    shape: tuple[int, ...]
    """Dimensions, outermost first, as numpy orders them."""
    type: Type
    source: SourceTensor | None = None
    constant: NDArray[np.float32] | None = None
    heads: int = 0
    """Number of heads whose rows are reordered; 0 leaves the rows as they are."""
    offset: float = 0.0
    transpose: bool = False

    @property
    def byte_shape(self) -> tuple[int, ...]:
        """The shape with the innermost dimension in bytes."""
        block, size = gguf.GGML_QUANT_SIZES[self.type]
        return (*self.shape[:-1], self.shape[-1] // block * size)

    @property
    def size_bytes(self) -> int:
        """Size of the tensor in the file, without padding."""
        return prod(self.byte_shape)

    def data(self) -> Iterator[memoryview]:
        """The tensor's bytes in order. Raises ConversionError for a NaN, and where the source file is gone."""
        if self.constant is not None:
            yield _bytes(self.constant.astype("<f4"))
            return
        assert self.source is not None
        for start, stop in self._stretches():
            rows = self.source.rows(start, stop)
            if has_no_number(rows, self.source.dtype):
                raise ConversionError(
                    f"“{printable(self.source.name)}” holds values that are no numbers (NaN or infinity).",
                    "The model is damaged where it comes from: download it again, or take another.",
                )
            yield _encoded(self._arranged(rows), self.source.dtype, self.type, self.offset)

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows to read at once: whole heads where rows are reordered, all rows where the matrix is
        transposed.
        """
        assert self.source is not None
        rows = self.source.shape[0]
        unit = rows if self.transpose else rows // self.heads if self.heads else 1
        row_bytes = max(1, self.source.size_bytes // max(rows, 1))
        step = max(1, _STRETCH_BYTES // (row_bytes * unit)) * unit
        return ((start, min(start + step, rows)) for start in range(0, rows, step))

    def _arranged(self, rows: NDArray[Any]) -> NDArray[Any]:
        assert self.source is not None
        if self.transpose:
            return np.ascontiguousarray(rows.T)
        if self.heads:
            return interleave(rows, rows.shape[0] * self.heads // self.source.shape[0])
        return rows


def interleave(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Make row i and row i + half of each head neighbours, as llama.cpp's NORM rotation wants them."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def plan_tensors(checkpoint: dict[str, SourceTensor], config: Config, family: Family, kind: Type) -> list[OutputTensor]:
    """Every tensor of the file. Raises ConversionError for a tensor that has no place in it, or that is missing."""
    names = gguf.get_tensor_name_map(family.architecture, config.layers)
    planned: dict[str, OutputTensor] = {}
    for source in checkpoint.values():
        name = _text_name(source.name)
        if name is None or (name == "lm_head.weight" and (family.skips_output or _is_copy(config))):
            continue
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ConversionError(
                f"The model has a tensor that this architecture does not know: “{printable(source.name)}”.",
                "It is a variant that cannot be converted here; look for its GGUF files.",
            )
        planned[found] = _output(found, name, source, config, family, kind)
    if family.needs_output and "output.weight" not in planned and "token_embd.weight" in planned:
        embedding = planned["token_embd.weight"]
        planned["output.weight"] = OutputTensor("output.weight", embedding.shape, embedding.type, embedding.source)
    _check_complete(planned, config)
    if not family.per_layer:  # a folder of Bantam's own, whose config.json speaks of no biases
        _check_biases(planned, config)
    return list(planned.values())


_BIASES = {
    "attention_bias": ("attn_q.bias", "attn_k.bias", "attn_v.bias"),
    "use_qkv_bias": ("attn_q.bias", "attn_k.bias", "attn_v.bias"),
    "mlp_bias": ("ffn_up.bias", "ffn_gate.bias", "ffn_down.bias"),
}


def _check_biases(planned: dict[str, OutputTensor], config: Config) -> None:
    """llama.cpp adds the biases that a file has, transformers those that config.json speaks of."""
    for key, ends in _BIASES.items():
        there = any(name.endswith(ends) for name in planned)
        if key in config.fields and there != bool(config.get(key)):
            raise ConversionError(
                f"config.json says “{key}”: {not there}, and the model has {'such' if there else 'no such'} biases.",
                "The files are of two versions: download the model again.",
            )


def _is_copy(config: Config) -> bool:
    """Whether `lm_head` only repeats the token embedding. Where config.json does not say, an `lm_head` is used as it
    is.
    """
    return bool(config.get("tie_word_embeddings"))


def _text_name(name: str) -> str | None:
    """The tensor's name inside the language model; None where it does not belong to the language model."""
    name = name.replace("model.language_model.", "model.").removeprefix("language_model.")
    if name.endswith(BUFFERS) or name.removeprefix("model.").startswith(_OTHER_PARTS):
        return None
    return name


def _output(found: str, name: str, source: SourceTensor, config: Config, family: Family, kind: Type) -> OutputTensor:
    transpose = name.endswith(family.transposed) if family.transposed else False
    shape = tuple(reversed(source.shape)) if transpose else source.shape
    heads = 0
    if family.interleaved and name.endswith(("q_proj.weight", "q_proj.bias")):
        heads = config.heads_of[_layer(found)]
    elif family.interleaved and name.endswith(("k_proj.weight", "k_proj.bias")):
        heads = config.kv_heads_of[_layer(found)]
    if heads and source.shape[0] % (2 * heads):
        raise _wrong_shape(source)
    offset = family.norm_offset if name.endswith("norm.weight") else 0.0
    return OutputTensor(found, shape, _type(found, shape, kind), source, None, heads, offset, transpose)


def _layer(name: str) -> int:
    """Number of the layer of a tensor in GGUF; 0 for a tensor outside the layers."""
    return int(name.split(".")[1]) if name.startswith("blk.") else 0


def _type(name: str, shape: tuple[int, ...], kind: Type) -> Type:
    """The type to store: f32 for vectors, norms and positions, as llama.cpp expects; f16 for rows that do not divide
    into blocks.
    """
    if len(shape) < 2 or name.endswith("_norm.weight") or name.startswith("position_embd"):
        return Type.F32
    return Type.F16 if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] else kind


def _check_complete(planned: dict[str, OutputTensor], config: Config) -> None:
    embedding = planned.get("token_embd.weight")
    if embedding is None or embedding.source is None:
        raise ConversionError("The model's token embedding is missing.", "Download all of its files again.")
    if embedding.shape != (config.vocabulary, config.width):
        raise _wrong_shape(embedding.source)
    if not config.tied and "output.weight" not in planned:
        raise ConversionError(
            "The model's output matrix “lm_head.weight” is missing, and config.json says that it is not the embedding.",
            "Download all of its files again.",
        )
    blocks = {int(name.split(".")[1]) for name in planned if name.startswith("blk.")}
    if missing := set(range(config.layers)) - blocks:
        raise ConversionError(f"Layer {min(missing)} of {config.layers} is missing.", "Download all files again.")
    kinds = {n: {name.split(".", 2)[2] for name in planned if name.startswith(f"blk.{n}.")} for n in blocks}
    whole = set().union(*kinds.values())
    for number, here in sorted(kinds.items()):
        if lost := sorted(whole - here):
            raise ConversionError(
                f"Layer {number} lacks “{lost[0]}”, which other layers have.",
                "Download all of the model's files again.",
            )
    for name, tensor in planned.items():
        if tensor.source is not None and not _fits(name, tensor.shape, config):
            raise _wrong_shape(tensor.source)


def _fits(name: str, shape: tuple[int, ...], config: Config) -> bool:
    """Whether the shape is the one that the configuration gives, for the matrices that every architecture has."""
    kind = name.split(".", 2)[2] if name.startswith("blk.") else name
    layer = _layer(name)
    heads, kv_heads, ffn = (of[layer] for of in (config.heads_of, config.kv_heads_of, config.ffn_of))
    expected = {
        "attn_q.weight": (heads * config.head, config.width),
        "attn_k.weight": (kv_heads * config.head, config.width),
        "attn_v.weight": (kv_heads * config.head, config.width),
        "attn_output.weight": (config.width, heads * config.head),
        "ffn_down.weight": (config.width, ffn),
        "attn_norm.weight": (config.width,),
        "output_norm.weight": (config.width,),
        "output.weight": (config.vocabulary, config.width),
    }.get(kind)
    return expected is None or shape == expected


def _wrong_shape(source: SourceTensor) -> ConversionError:
    shape = " × ".join(map(str, source.shape))
    return ConversionError(
        f"“{printable(source.name)}” is {shape}, which is not what config.json says.",
        "The files are of two versions: download the model again.",
    )


def _encoded(rows: NDArray[Any], dtype: str, kind: Type, offset: float) -> memoryview:
    if not offset and (dtype, kind) in (("BF16", Type.BF16), ("F16", Type.F16), ("F32", Type.F32)):
        return _bytes(rows)
    values = as_float32(rows, dtype) + np.float32(offset)
    if kind is Type.F32:
        return _bytes(values.astype("<f4", copy=False))
    if kind is Type.F16:
        return _bytes(np.clip(values, -65504, 65504).astype("<f2"))
    return _bytes(gguf.quants.quantize(np.ascontiguousarray(values), kind))


def _bytes(values: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B")
