"""Reads and checks the header of a GGUF file before llama.cpp, which trusts it, sees the file. Only the stdlib."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says of the model. Counts are 0 and texts "" where it says nothing.

    `parameters` counts the elements of all tensors, `tensor_types` how many tensors there are of each ggml type,
    `vocabulary` the tokens, `context_tokens` what the model was trained for. Texts are plain, short and without
    control characters: they come from whoever made the file.
    """

    architecture: str
    name: str
    parameters: int
    quantization: str
    context_tokens: int
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    vocabulary: int
    has_chat_template: bool
    file_bytes: int
    tensor_bytes: int
    tensor_types: dict[str, int] = field(default_factory=dict)
    license: str = ""
    split_count: int = 1

    @property
    def parameters_str(self) -> str:
        """ "7.6 B", "21 M"."""
        for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
            if self.parameters >= size:
                number = self.parameters / size
                return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
        return str(self.parameters)


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of a file (of a split model: its first part). Raises ModelFileError."""
    raise ModelFileError(f"{path.name} could not be read.")
