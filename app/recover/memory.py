"""How much memory a recovery takes, from the headers of the two folders, before anything is loaded.

Sums of what is held at once. What a training step keeps for its backward pass is counted in widths of a block's
matrices; the factors were found by measuring (tests/benchmarks/recover.py compares both). Nothing here needs torch: a
recipe is planned without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from app.convert.checkpoint import by_block, embedding_shape, open_checkpoint
from app.errors import RecoverError
from app.library.tensor_types import TENSOR_TYPES
from app.prune.peak import PROGRAM_BYTES
from app.recover.messages import Recover, RecoverMethod
from app.system.hardware import available_memory_bytes
from app.units import size_text

CHUNK_BYTES = 64_000_000
"""The size of the logits that are looked at together; about six times as much is in use then."""

_FLOAT, _ADAM = 4, 16
"""Bytes a weight: as float32; weight, gradient and AdamW's two moments."""
_Q4_0 = TENSOR_TYPES[2]
_FOUR_BIT = _Q4_0.block_bytes / _Q4_0.block
_KEPT_FLOATS = 1.4
"""What a block keeps for its backward pass, in float32 for each token and each column and row of its matrices. Counted:
1.0 to 1.2 for Llama, 1.1 to 1.3 for Qwen3, 1.4 to 1.7 for Gemma 2."""
_LOGITS = 6
_HEAP = {RecoverMethod.LORA: 1.6, RecoverMethod.QLORA: 1.6, RecoverMethod.FULL: 1.2}
"""What a step takes of the process's memory for each byte that it holds. Small tensors that stay lie between large ones
that go, and the C library keeps the gaps: with adapters 1.5 to 1.8 was measured, with all weights 0.9 to 1.4. Giving
each large tensor pages of its own (MALLOC_MMAP_THRESHOLD_) brings it to 1.0 and takes a quarter more time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A folder's weights: those in the blocks' matrices, all others, and each block's matrices' sides added up."""

    matrix_bytes: int
    matrix_elements: int
    other_elements: int
    largest_matrix: int
    widths: tuple[int, ...]
    hidden: int
    vocabulary: int

    @property
    def elements(self) -> int:
        """All weights."""
        return self.matrix_elements + self.other_elements

    @property
    def held_bytes(self) -> int:
        """What is in memory: matrices of the blocks as stored, the rest in float32."""
        return self.matrix_bytes + _FLOAT * self.other_elements

    @property
    def rank_one(self) -> int:
        """Parameters of adapters of rank 1."""
        return sum(self.widths)


def shape_of(folder: Path) -> Shape:
    """The shape, from the headers. Raises ConversionError for a folder that is not whole."""
    tensors = open_checkpoint(folder).values()
    blocks, others = by_block(tensors)
    vocabulary, hidden = embedding_shape(others)
    by_matrix = [[t for t in block if len(t.shape) == 2] for block in blocks]
    matrices = [matrix for block in by_matrix for matrix in block]
    elements = sum(t.elements for t in matrices)
    return Shape(
        matrix_bytes=sum(t.size_bytes for t in matrices),
        matrix_elements=elements,
        other_elements=sum(t.elements for t in tensors) - elements,
        largest_matrix=max((t.elements for t in matrices), default=0),
        widths=tuple(sum(sum(t.shape) for t in block) for block in by_matrix),
        hidden=hidden,
        vocabulary=vocabulary,
    )


@dataclass(frozen=True, slots=True)
class Way:
    """How the training is laid out so that it fits: windows at once, and whether blocks are computed twice."""

    micro: int = 2
    recompute: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """The need of one way. `trained` is the number of trained parameters."""

    way: Way
    peak_bytes: int
    trained: int
    checkpoint_bytes: int


def need_of(request: Recover, model: Shape, teacher: Shape, way: Way, *, sparse: bool = False) -> Need:
    """Peak resident memory of the whole process. `sparse`: zeros are to be kept."""
    loaded = PROGRAM_BYTES + teacher.held_bytes + model.held_bytes
    full = request.method is RecoverMethod.FULL
    trained = model.elements if full else request.rank * model.rank_one
    student = {
        RecoverMethod.LORA: model.held_bytes,
        RecoverMethod.QLORA: int(_FOUR_BIT * model.matrix_elements) + _FLOAT * model.other_elements,
        RecoverMethod.FULL: 0,
    }[request.method]
    training = PROGRAM_BYTES + teacher.held_bytes + student + _ADAM * trained + _step_bytes(request, model, way)
    if sparse or request.quantization_aware:
        # Each matrix as it is multiplied with is kept for the backward pass; while one is made, some copies of it.
        training += _FLOAT * model.matrix_elements + 6 * _FLOAT * model.largest_matrix
    return Need(way, max(loaded, training), trained, 3 * _FLOAT * trained)


def _step_bytes(request: Recover, model: Shape, way: Way) -> int:
    tokens = way.micro * request.context_tokens
    kept = [int(_FLOAT * _KEPT_FLOATS * tokens * width) for width in model.widths]
    blocks = max(kept, default=0) + _FLOAT * tokens * model.hidden * len(kept) if way.recompute else sum(kept)
    logits = _LOGITS * _FLOAT * model.vocabulary * min(tokens, chunk_positions(model.vocabulary))
    weight = _FLOAT * model.largest_matrix  # a held matrix as float32, for the moment of its multiplication
    return int(_HEAP[request.method] * (blocks + logits + weight))


def chunk_positions(vocabulary: int) -> int:
    """How many positions' logits are held at once."""
    return max(8, CHUNK_BYTES // (4 * vocabulary))


def choose_way(request: Recover, model: Shape, teacher: Shape, *, sparse: bool = False) -> Need:
    """The quickest way that fits in the memory that is free now. Raises RecoverError where none does."""
    available = available_memory_bytes()
    needs = [
        need_of(request, model, teacher, replace(Way(), micro=micro, recompute=recompute), sparse=sparse)
        for micro, recompute in ((2, False), (1, False), (2, True), (1, True))
    ]
    fitting = next((need for need in needs if need.peak_bytes <= available), None)
    if fitting is None:
        least = min(need.peak_bytes for need in needs)
        raise RecoverError(
            f"Recovery takes {size_text(least)} of memory here; {size_text(available)} are free.",
            _advice(request),
        )
    return fitting


def _advice(request: Recover) -> str:
    if request.method is RecoverMethod.FULL:
        return "Use LoRA, which trains few weights, or close other programs."
    shorter = " shorter windows," if request.context_tokens > 128 else ""
    qlora = " QLoRA," if request.method is RecoverMethod.LORA else ""
    return f"Try{qlora}{shorter} or close other programs."
