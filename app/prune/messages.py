"""What is asked and said of pruning, of recovering what it cost, and of drafts made from the model itself.

Frozen dataclasses with plain fields, as in every `messages` file. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.operation import Request


class PruneMethod(StrEnum):
    """What is taken away. The first four set weights to zero, the others make matrices or the model smaller."""

    MAGNITUDE = "magnitude"
    GLOBAL_MAGNITUDE = "global-magnitude"
    WANDA = "wanda"
    SPARSEGPT = "sparsegpt"
    FFN = "ffn"
    KV_GROUPS = "kv-groups"
    LAYERS = "layers"


SPARSE = frozenset({PruneMethod.MAGNITUDE, PruneMethod.GLOBAL_MAGNITUDE, PruneMethod.WANDA, PruneMethod.SPARSEGPT})
"""Methods that only set weights to zero: neither smaller files nor faster answers come of them."""


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
    """"2:4" or "4:8": so many zeros among so many neighbours, for the methods that set zeros; "" for any place."""
    refit: bool = True
    """Fit what remains by least squares to what the whole matrix gave (FFN and KV groups)."""
    refit_gate_up: bool = False
    """Fit the gate and up projections too, in turn with the down one: nearer, takes several times as long (FFN)."""
    width_multiple: int = 256
    """FFN widths are multiples of it; 32 at least, and below 256 K-quants fall back to older types."""
    per_layer: bool = False
    """Other widths in each layer, by measured importance. llama.cpp reads them, transformers does not."""
    importance: LayerImportance = LayerImportance.COSINE
    layers: tuple[int, ...] = ()
    """Which layers to drop; none: the least important, by measurement."""
    rewind: Path | None = None
    """Folder of the same model early in its training: the mask is found on `source`, the weights come from here
    (lottery ticket rewinding, Frankle et al. 2020, arXiv 1912.05671)."""
    text: Path | None = None
    """What is read to see which weights matter; None: the bundled text."""
    context_tokens: int = 256
    chunks: int = 64
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruned folder is there, under its final name, with its row in the manifest."""

    path: Path
    recipe: str
    """How it was made, in words: "FFN 1536 to 1024, refitted"."""
    parameters_before: int
    parameters_after: int
    zeros: int
    """Weights of the pruned matrices that are zero now."""
    dropped_layers: tuple[int, ...]
    size_bytes: int
    seconds: float
