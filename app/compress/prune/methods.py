"""Which class does which method."""

from __future__ import annotations

from collections.abc import Callable

from app.compress.prune.ffn import Ffn
from app.compress.prune.kv_groups import KvGroups
from app.compress.prune.layers import Layers
from app.compress.prune.magnitude import GlobalMagnitude, Magnitude
from app.compress.prune.method import Method
from app.compress.prune.sparsegpt import SparseGpt
from app.compress.prune.wanda import Wanda
from app.events import ShouldStop
from app.pruning import Prune, PruneMethod

METHODS: dict[PruneMethod, Callable[[Prune, ShouldStop], Method]] = {
    PruneMethod.MAGNITUDE: Magnitude,
    PruneMethod.GLOBAL_MAGNITUDE: GlobalMagnitude,
    PruneMethod.WANDA: Wanda,
    PruneMethod.SPARSEGPT: SparseGpt,
    PruneMethod.FFN: Ffn,
    PruneMethod.KV_GROUPS: KvGroups,
    PruneMethod.LAYERS: Layers,
}
