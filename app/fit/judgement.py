"""All that is known of a model before it is here: what it takes, what a token reads, or why that cannot be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from app.engine.curve import FitCurve
from app.engine.messages import KvType
from app.hub.repository import ModelFormat, RemoteModel, Repository
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
        """The bytes of all types together."""
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


# From a header and a curve to judgements: of the file itself, and of the other quantizations of the same model.


CONTEXTS = (512, 1024, 2048, 4096, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304, 131072, 262144)
"""Points of a curve; between them the need is a straight line."""
KV_TYPES = tuple(KvType)
MADE_TYPES = ("Q4_K_M", "Q8_0", "BF16")
"""What is offered of original weights, smallest first."""


def judgement_of(key: str, header: GgufHeader, curve: FitCurve) -> Judgement:
    """The judgement of a file whose own header was read."""
    return Judgement(key, curve, ReadProfile.of_header(header), problem=header.chat_problem)


def made_key(key: str, type: str) -> str:
    """The judgement's key of what would be made in this type of the model with that key."""
    return f"{key} as {type}"


def refusal(key: str, reason: str) -> Judgement:
    """The refusal of original weights that cannot be converted, under the model's own key."""
    return Judgement(key, problem=reason, made=Made(refused=True))


def derived(judgement: Judgement, own: RemoteModel, other: RemoteModel) -> Judgement:
    """The judgement of another quantization of the same model: the KV cache and the buffers are the same, the weights
    differ as the
    files do. `own` is the model that was judged.
    """
    if judgement.curve is None or judgement.reads is None:
        return dataclasses.replace(judgement, key=other.key, derived_from=own.label)
    own_weights = judgement.curve.weights_bytes
    weights = max(1, own_weights + other.size_bytes - own.size_bytes)
    return Judgement(
        other.key,
        dataclasses.replace(judgement.curve, weights_bytes=weights),
        judgement.reads.scaled(other.label, weights, own_weights),
        judgement.problem,
        derived_from=own.label,
    )


def to_be_read(repository: Repository) -> tuple[RemoteModel, ...]:
    """The models whose own headers are read: one for each family of GGUF files, the smallest, and safetensors."""
    chosen: dict[tuple[ModelFormat, str], RemoteModel] = {}
    for model in repository.models:
        chosen.setdefault((model.format, model.family), model)
    return tuple(chosen.values())


def relatives(model: RemoteModel, models: Iterable[RemoteModel]) -> tuple[RemoteModel, ...]:
    """The other quantizations of a model."""
    return tuple(m for m in models if m.key != model.key and (m.format, m.family) == (model.format, model.family))
