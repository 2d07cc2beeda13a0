"""GGUF files made with gguf-py, the format's own writer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

MakeModel = Callable[..., Path]


def _make(
    path: Path,
    architecture: str = "llama",
    values: dict[str, Any] | None = None,
    tensors: dict[str, tuple[tuple[int, ...], gguf.GGMLQuantizationType]] | None = None,
    vocabulary: int = 32,
    name: str = "Tiny",
    file_type: int | None = 7,
    template: str = "{{ messages }}",
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_license("MIT")
    numbers = {"block_count": 2, "context_length": 2048, "embedding_length": 64, "attention.head_count": 4}
    numbers |= {"attention.head_count_kv": 2} | (values or {})
    for key, value in numbers.items():
        if isinstance(value, list):
            writer.add_array(f"{architecture}.{key}", value)
        elif isinstance(value, str):
            writer.add_string(f"{architecture}.{key}", value)
        elif value is not None:
            writer.add_uint32(f"{architecture}.{key}", value)
    if file_type is not None:
        writer.add_file_type(file_type)
    if vocabulary:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token{n}" for n in range(vocabulary)])
        writer.add_token_merges([f"a{n} b{n}" for n in range(vocabulary)])
    if template:
        writer.add_chat_template(template)
    for tensor, (shape, kind) in (tensors if tensors is not None else DEFAULT_TENSORS).items():
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        rows = int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else 1
        data = np.zeros((rows, shape[0] // block * block_bytes), dtype=np.uint8)
        writer.add_tensor(tensor, data.reshape(*reversed(shape[1:]), -1), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


F32, Q8_0 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0
DEFAULT_TENSORS = {
    "token_embd.weight": ((64, 32), Q8_0),
    "blk.0.attn_q.weight": ((64, 64), Q8_0),
    "blk.0.attn_norm.weight": ((64,), F32),
    "output_norm.weight": ((64,), F32),
}


@pytest.fixture
def make_model() -> MakeModel:
    """make_model(path, architecture, values, tensors, ...): a small GGUF file that is sound unless told otherwise."""
    return _make


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def raw_header(
    entries: list[bytes],
    tensors: Sequence[bytes] = (),
    *,
    version: int = 3,
    keys: int | None = None,
    count: int | None = None,
) -> bytes:
    """A header; `keys` and `count` are the numbers it claims where they are not the true ones."""
    counts = (len(tensors) if count is None else count, len(entries) if keys is None else keys)
    return b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(entries) + b"".join(tensors)


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def string(key: str, value: str | bytes) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


class Raw:
    """Headers by hand, for what gguf-py refuses to write."""

    text, header, number, string, tensor = map(staticmethod, (text, raw_header, number, string, tensor))

    BASIC = (
        string("general.architecture", "llama"),
        number("llama.block_count", 2),
        number("llama.context_length", 128),
        number("llama.embedding_length", 64),
    )


@pytest.fixture
def raw() -> type[Raw]:
    return Raw
