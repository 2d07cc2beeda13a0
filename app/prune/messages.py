"""Requests and results of pruning, of recovering quality afterwards, and of drafts made from the model itself.

Frozen dataclasses with plain fields, as in every `messages` file. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Request


class PruneMethod(StrEnum):
    """What is removed. The first four set weights to zero, the others make matrices or the model smaller."""

    MAGNITUDE = "magnitude"
    GLOBAL_MAGNITUDE = "global-magnitude"
    WANDA = "wanda"
    SPARSEGPT = "sparsegpt"
    FFN = "ffn"
    KV_GROUPS = "kv-groups"
    LAYERS = "layers"


SPARSE = frozenset({PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE, PruneMethod.WANDA, PruneMethod.SPARSEGPT})
"""Methods that only set weights to zero, which makes neither files smaller nor answers faster."""


class LayerImportance(StrEnum):
    """How the layers to drop are found."""

    COSINE = "cosine"
    """1 - cosine of a block's input and output (ShortGPT's block influence)."""
    LEAVE_OUT = "leave-out"
    """KL divergence of the model without the layer."""


@dataclass(frozen=True, slots=True)
class Prune(Request):
    """Write a pruned copy of the Hugging Face folder `source` to the new folder `output`.

    `amount` is the share that is taken away, above 0 and below 1: of the weights, the FFN neurons, the KV groups or
    the layers. Widths and counts are rounded to what runs well, and the result says what they became.
    """

    source: Path
    output: Path
    method: PruneMethod
    amount: float
    pattern: str = ""
    """"2:4" or "4:8": that many zeros among that many neighbours, for the methods that set zeros; "" for any place."""
    refit: bool = True
    """Fit what remains by least squares to the output of the whole matrix (FFN and KV groups)."""
    refit_gate_up: bool = False
    """Fit the gate and up projections too, in turn with the down projection: closer, but it takes several times as long
    (FFN)."""
    width_multiple: int = 256
    """FFN widths are multiples of this, at least 32; below 256 K-quants fall back to older types."""
    per_layer: bool = False
    """Choose each layer's width by measured importance. llama.cpp reads such layers, transformers does not."""
    importance: LayerImportance = LayerImportance.COSINE
    layers: tuple[int, ...] = ()
    """Numbers of the layers to drop; empty: the least important ones, by measurement."""
    rewind: Path | None = None
    """Folder of the same model early in its training: the mask is found on `source`, the weights come from here
    (lottery ticket rewinding, Frankle et al. 2020, arXiv 1912.05671)."""
    text: Path | None = None
    """Text that is read to see which weights matter; None: the bundled text."""
    context_tokens: int = 256
    chunks: int = 64
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result: the pruned folder is there, under its final name, with its row in the manifest."""

    path: Path
    recipe: str
    """How it was made, in words: "FFN 1536 to 1024, refitted"."""
    parameters_before: int
    parameters_after: int
    zeros: int
    """Number of weights in the pruned matrices that are zero now."""
    dropped_layers: tuple[int, ...]
    size_bytes: int
    seconds: float
