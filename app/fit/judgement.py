"""All that is known of a model before it is here: what it takes, what a token reads, or why that cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.curve import FitCurve
from app.library.gguf_file import GgufHeader
from app.library.tensor_types import TENSOR_TYPES


@dataclass(frozen=True, slots=True)
class TypeBytes:
    """Bytes of weights of one ggml type that a decoded token reads."""

    type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadProfile:
    """What decoding one token reads beside the KV cache: of a mixture of experts only the active ones.

    The token embedding counts only where it is the output matrix too; else one row of it is read.
    """

    types: tuple[TypeBytes, ...]
    layers: int

    @property
    def total_bytes(self) -> int:
        """Of all types together."""
        return sum(part.bytes for part in self.types)

    @classmethod
    def of_header(cls, header: GgufHeader) -> ReadProfile:
        """What the header of a GGUF file says."""
        types = (TypeBytes(kind, size) for kind, size in sorted(header.read_bytes.items()))
        return cls(tuple(types), header.layers)

    def scaled(self, quantization: str, weights_bytes: int, own_weights_bytes: int) -> ReadProfile:
        """That of the same model in another quantization, of which only name and size are known."""
        ratio = weights_bytes / max(1, own_weights_bytes)
        return ReadProfile((TypeBytes(main_type(quantization), int(self.total_bytes * ratio)),), self.layers)


@dataclass(frozen=True, slots=True)
class Made:
    """What would be made of original weights: a GGUF file of a type, or nothing, because the conversion is refused."""

    type: str = ""
    size_bytes: int = 0
    """Exact, of the file."""
    working_bytes: int = 0
    """What the disk must have beside the download while it is made: the 16-bit file on the way, and the result."""
    refused: bool = False
    """No type can be made; the judgement's problem says why."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One model of a repository, or one on disk. `key` is `RemoteModel.key`, or the path of a local file.

    Without a curve `problem` says why it cannot be told. `derived_from` names the file whose header was read where it
    was not this file's own: another quantization of the same model. `made` is of what a conversion would make, and not
    of a file that can be downloaded; its key is `made_key`'s.
    """

    key: str
    curve: FitCurve | None = None
    reads: ReadProfile | None = None
    problem: str = ""
    derived_from: str = ""
    made: Made | None = None


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """What a model may take, in bytes: of the whole machine, and now. Both are less what the window and system need."""

    machine_bytes: int
    now_bytes: int
    """Available memory, with what the model that is loaded now would give back."""


def main_type(quantization: str) -> str:
    """The ggml type of most weights of a quantization: "Q4_K" of "Q4_K_M", "F16" of "FP16"."""
    name = quantization.upper().removeprefix("UD-").replace("FP", "F")
    for kind in sorted((kind.name for kind in TENSOR_TYPES.values()), key=len, reverse=True):
        if name.startswith(kind):
            return kind
    mixtures = {"IQ2": "IQ2_S", "IQ3": "Q3_K"}  # IQ2_M, IQ3_XS and IQ3_M are no types of their own
    return mixtures.get(name[:3], "Q4_K")
