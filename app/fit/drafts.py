"""Which of the models that are here can draft for a model, what each would take, and about what it would gain."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import KvType
from app.errors import ModelFileError
from app.fit.judgement import ReadProfile
from app.library.gguf_file import CANNOT_TAKE_BACK, GgufHeader
from app.library.library import ModelEntry
from app.library.vocabulary import read_vocabulary, vocabulary_problem

ASSUMED_ACCEPTANCE = 0.7
"""Share of the drafted tokens that is accepted, before it was measured: 0.53 to 0.82 for drafts of the same family in
Leviathan et al. 2023 (arXiv 2211.17192, table 2)."""

AS_LARGE = 0.8
"""A share of the bytes that the model reads for a token: a draft above it costs about what it could save."""

TAKES_NOTHING_BACK = "hybrid models cannot take tokens back"

_BATCH_COSTS = {1: 1.0, 4: 1.5, 8: 2.8, 16: 3.7}
"""A batch of so many tokens against one token; measured of 4-bit models on two cores."""
_KV_BYTES = {KvType.F16: 2.0, KvType.Q8_0: 1.0625, KvType.Q4_0: 0.5625}
_BATCH_TOKENS, _OUTPUTS, _FLOAT_BYTES = 512, 32, 4
_BUFFERS = 4
"""Activations of a batch that are alive at once, in widths of the embedding."""


@dataclass(frozen=True, slots=True)
class DraftCandidate:
    """A model that is here, as a draft. `problem` is "" where it can draft, else the reason, without a full stop.

    `memory_bytes` is about what it takes beside the model; exact it is counted at the load. `predicted_speed_up` is
    against plain decoding, when ASSUMED_ACCEPTANCE of its guesses are right; 0 where it cannot draft.
    """

    path: Path
    name: str
    problem: str
    memory_bytes: int = 0
    predicted_speed_up: float = 0.0


def draft_candidates(
    target: ModelEntry, models: Iterable[ModelEntry], context_tokens: int, kv_type: KvType = KvType.F16
) -> tuple[DraftCandidate, ...]:
    """Every other model that can be loaded: those that can draft first, the most promising at the top.

    Reads vocabularies, 0.1 s each at most and only once: for a thread, not for the window's own.
    """
    others = (model for model in models if model.can_load and not model.is_folder)
    candidates = [_candidate(target, model, context_tokens, kv_type) for model in others]
    return tuple(sorted(candidates, key=lambda one: (bool(one.problem), -one.predicted_speed_up, one.name.lower())))


def predicted_speed_up(draft_cost: float, acceptance: float = ASSUMED_ACCEPTANCE) -> float:
    """Tokens a second against plain decoding at the best draft length, when a guess costs `draft_cost` of a token.

    (1 - a^(k+1)) / (1 - a) tokens for a batch of k + 1 and k guesses: Leviathan et al. 2023, theorem 3.8.
    """
    speeds = [1.0]
    for size, cost in _BATCH_COSTS.items():
        guesses = size - 1
        tokens = (1 - acceptance**size) / (1 - acceptance)
        speeds.append(tokens / (cost + guesses * draft_cost))
    return max(speeds)


def _candidate(target: ModelEntry, model: ModelEntry, context_tokens: int, kv_type: KvType) -> DraftCandidate:
    problem = _problem(target, model)
    if problem or target.header is None or model.header is None:
        return DraftCandidate(model.path, model.name, problem)
    cost = _read_bytes(model.header) / max(1, _read_bytes(target.header))
    memory = memory_beside(model.header, context_tokens, kv_type)
    return DraftCandidate(model.path, model.name, "", memory, predicted_speed_up(cost))


def _problem(target: ModelEntry, model: ModelEntry) -> str:
    if target.header is None or model.header is None:
        return "its header could not be read"
    if model.path == target.path:
        return "this is the model itself"
    return header_problem(target.header, model.header) or vocabularies_problem(target.path, model.path)


def header_problem(target: GgufHeader, draft: GgufHeader) -> str:
    """What the headers alone say against a draft, in words that follow "it cannot draft: "; "" where nothing."""
    if {target.architecture, draft.architecture} & CANNOT_TAKE_BACK:
        return TAKES_NOTHING_BACK
    if draft.chat_problem:
        return "it is no model for chat"
    if _read_bytes(draft) > AS_LARGE * _read_bytes(target):
        return "as large as the model itself"
    return ""


def vocabularies_problem(target: Path, draft: Path) -> str:
    """The same as `vocabulary_problem`, of two files; remembered until one of them changes."""
    try:
        return _compared(target, draft, *(path.stat().st_mtime_ns for path in (target, draft)))
    except (OSError, ModelFileError):
        return "its vocabulary could not be read"


@functools.lru_cache(maxsize=1024)
def _compared(target: Path, draft: Path, _target_ns: int, _draft_ns: int) -> str:
    return vocabulary_problem(read_vocabulary(target), read_vocabulary(draft))


def memory_beside(header: GgufHeader, context_tokens: int, kv_type: KvType) -> int:
    """About the bytes a draft takes beside the model: weights, KV cache, buffers. From the header alone."""
    tokens = min(context_tokens, header.context_tokens or context_tokens)
    kv_width = header.embedding / max(1, header.heads) * max(1, header.kv_heads)
    kv_bytes = 2 * header.layers * kv_width * tokens * _KV_BYTES[kv_type]
    buffers = _FLOAT_BYTES * (_BATCH_TOKENS * _BUFFERS * header.embedding + _OUTPUTS * header.vocabulary)
    return int(header.tensor_bytes + kv_bytes + buffers)


def _read_bytes(header: GgufHeader) -> int:
    return ReadProfile.of_header(header).total_bytes
