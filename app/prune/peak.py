"""How much memory a pruning takes in addition to the program itself, from the shapes of the tensors.

The operation asks before it begins, and a recipe is planned with it: nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from app.convert.checkpoint import Shaped, by_block, embedding_shape
from app.prune.messages import LayerImportance, Prune, PruneMethod

LEAVE_OUT_WINDOWS = 16
"""Windows of text for the leave-out importance, few because each flows through once for each layer: enough to rank
them."""
_FLOAT, _DOUBLE = 4, 8
_MAGNITUDES = (PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE)


def memory_bytes(request: Prune, tensors: Iterable[Shaped], tokens: int) -> int:
    """Memory for a block in float32, the sums of its inputs, the systems solved with them, and the activations of
    `tokens`.
    """
    blocks, others = by_block(tensors)
    vocabulary, width = embedding_shape(others)
    work = max(
        _FLOAT * sum(prod(t.shape) for t in block) + _sums_bytes(request, block) + _kept_bytes(request, block, tokens)
        for block in blocks
    )
    return work + _stream_bytes(request, tokens, width, vocabulary, len(blocks))


def _sums_bytes(request: Prune, block: list[Shaped]) -> int:
    """Memory for Gram matrices, and for working space of the same size."""
    columns = {t.name.removesuffix(".weight"): t.shape[1] for t in block if len(t.shape) == 2}
    if request.method is PruneMethod.SPARSEGPT:
        # Queries, keys and values read the same tensor, and so do gate and up: few inputs of one width differ.
        counts = [min(list(columns.values()).count(width), 3) * width**2 for width in set(columns.values())]
        return _FLOAT * (sum(counts) + max(prod(t.shape) for t in block))
    if request.method is PruneMethod.FFN and request.refit:
        # The inverse in f64, and the working space for finding it.
        return (_FLOAT + 4 * _DOUBLE) * _widest(columns, "down_proj") ** 2
    if request.method is PruneMethod.KV_GROUPS and request.refit:
        # Parts of the Gram matrix, and the solution in f64.
        return (2 * _FLOAT + 3 * _DOUBLE) * _widest(columns, "o_proj") ** 2
    return 0


def _widest(columns: dict[str, int], name: str) -> int:
    return max((count for matrix, count in columns.items() if matrix.endswith(name)), default=0)


def _stream_bytes(request: Prune, tokens: int, width: int, vocabulary: int, layers: int) -> int:
    """Memory for activations: a block's output, with its input where a survey compares them, or the streams of all
    models with one layer missing.
    """
    stream = _FLOAT * tokens * width
    if request.method in _MAGNITUDES or request.layers:
        return 0
    if request.method is PruneMethod.LAYERS and request.importance is LayerImportance.LEAVE_OUT:
        read = min(tokens, LEAVE_OUT_WINDOWS * request.context_tokens)
        return _FLOAT * width * (read * (layers + 1) + vocabulary)
    surveyed = request.method is PruneMethod.LAYERS or request.per_layer
    return 2 * stream if surveyed else stream


def _kept_bytes(request: Prune, block: list[Shaped], tokens: int) -> int:
    """Memory for fitting gate, up and down in turn: inputs, outputs and one factor of each neuron that stays."""
    if request.method is not PruneMethod.FFN or not request.refit_gate_up:
        return 0
    width, ffn = next((t.shape for t in block if t.name.endswith("down_proj.weight")), (0, 0))
    return round(_FLOAT * tokens * (2 * width + (1 - request.amount) * ffn))


PROGRAM_BYTES = 420_000_000
"""Memory of the process that prunes or trains before it holds any weights: Python with torch and a model class of
transformers, on one to four threads. Measured: 395 to 430 MB. Plans and checks use the same figure."""
