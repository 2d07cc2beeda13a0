"""A GGUF model of one tensor type for measuring speed: Llama's layers, any size, no vocabulary, a constant as weights.

Every block is the byte 0x2c over and over: as a 16-bit scale 0.065, so that no arithmetic meets a denormal number or
an infinity, which would be slower than a real model's. What it computes means nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from app.library.tensor_types import TENSOR_TYPES

_STRING, _UINT32, _FLOAT32 = 8, 4, 6
_ALIGNMENT = 32
_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
_FILL = b"\x2c" * (1 << 20)


@dataclass(frozen=True, slots=True)
class SyntheticModel:
    """Its numbers. The vocabulary is so small that its matrices hardly count."""

    type: str
    layers: int
    width: int = 2048
    heads: int = 16
    kv_heads: int = 4
    ffn: int = 8192
    vocabulary: int = 256
    context: int = 4096

    @property
    def layer_bytes(self) -> int:
        """Weights of one layer."""
        return sum(_size(shape, self.type) for _, shape in self._matrices(0))

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache in F16."""
        return 2 * 2 * self.layers * self.kv_heads * (self.width // self.heads)

    def write(self, path: Path) -> None:
        """Write the file. Raises OSError."""
        tensors = self._tensors()
        entries = self._entries()
        infos, offset = b"", 0
        for name, shape, kind in tensors:
            infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _NUMBERS[kind], offset)
            offset += _padded(_size(shape, kind))
        header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + infos
        with path.open("wb") as file:
            file.write(header.ljust(_padded(len(header)), b"\0"))
            while offset > 0:
                offset -= file.write(_FILL[: min(len(_FILL), offset)])

    def _tensors(self) -> list[tuple[str, tuple[int, ...], str]]:
        ends: list[tuple[str, tuple[int, ...], str]] = [
            ("token_embd.weight", (self.width, self.vocabulary), "Q8_0"),
            ("output_norm.weight", (self.width,), "F32"),
            ("output.weight", (self.width, self.vocabulary), "Q8_0"),
        ]
        layers: list[tuple[str, tuple[int, ...], str]] = []
        for n in range(self.layers):
            layers += [(f"blk.{n}.{name}_norm.weight", (self.width,), "F32") for name in ("attn", "ffn")]
            layers += [(name, shape, self.type) for name, shape in self._matrices(n)]
        return [*ends, *layers]

    def _matrices(self, layer: int) -> list[tuple[str, tuple[int, int]]]:
        kv = self.width // self.heads * self.kv_heads
        shapes = {
            "attn_q": (self.width, self.width), "attn_k": (self.width, kv), "attn_v": (self.width, kv),
            "attn_output": (self.width, self.width), "ffn_gate": (self.width, self.ffn),
            "ffn_up": (self.width, self.ffn), "ffn_down": (self.ffn, self.width),
        }  # fmt: skip
        return [(f"blk.{layer}.{name}.weight", shape) for name, shape in shapes.items()]

    def _entries(self) -> list[bytes]:
        numbers = {
            "block_count": self.layers, "context_length": self.context, "embedding_length": self.width,
            "feed_forward_length": self.ffn, "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads, "rope.dimension_count": self.width // self.heads,
            "vocab_size": self.vocabulary,
        }  # fmt: skip
        epsilon = _entry("llama.attention.layer_norm_rms_epsilon", _FLOAT32, struct.pack("<f", 1e-5))
        return [
            _entry("general.architecture", _STRING, _text("llama")),
            _entry("tokenizer.ggml.model", _STRING, _text("no_vocab")),
            *(_entry(f"llama.{key}", _UINT32, struct.pack("<I", value)) for key, value in numbers.items()),
            epsilon,
        ]


def _size(shape: tuple[int, ...], kind: str) -> int:
    type_ = TENSOR_TYPES[_NUMBERS[kind]]
    elements = 1
    for length in shape:
        elements *= length
    return elements // type_.block * type_.block_bytes


def _padded(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value
