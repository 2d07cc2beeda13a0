"""From a header and a curve to judgements: of the file itself, and of the other quantizations of the same model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from app.engine.curve import FitCurve
from app.engine.messages import KvType
from app.fit.judgement import Judgement, Made, ReadProfile
from app.hub.repository import ModelFormat, RemoteModel, Repository
from app.library.gguf_file import GgufHeader

CONTEXTS = (512, 1024, 2048, 4096, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304, 131072, 262144)
"""Points of a curve; between them the need is a straight line."""
KV_TYPES = tuple(KvType)
MADE_TYPES = ("Q4_K_M", "Q8_0", "BF16")
"""What is offered of original weights, smallest first."""


def judgement_of(key: str, header: GgufHeader, curve: FitCurve) -> Judgement:
    """Of a file whose own header was read."""
    return Judgement(key, curve, ReadProfile.of_header(header), problem=header.chat_problem)


def made_key(key: str, type: str) -> str:
    """The judgement's key of what would be made in this type of the model with that key."""
    return f"{key} as {type}"


def refusal(key: str, reason: str) -> Judgement:
    """Of original weights that cannot be converted, under the model's own key."""
    return Judgement(key, problem=reason, made=Made(refused=True))


def derived(judgement: Judgement, own: RemoteModel, other: RemoteModel) -> Judgement:
    """Of another quantization of the same model: the KV cache and the buffers are the same, the weights differ as the
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
