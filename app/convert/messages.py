"""Request and result of a conversion to GGUF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.operation import Request


@dataclass(frozen=True, slots=True)
class Convert(Request):
    """Write a Hugging Face folder (config.json, tokenizer, safetensors) as one GGUF file."""

    folder: Path
    output: Path
    type: str = "bf16"
    """Type in which matrices are stored: f32, f16, bf16 or q8_0. Vectors and norms stay f32."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The result: the GGUF file is there, under its final name."""

    path: Path
    type: str
    tensors: int
    size_bytes: int
