"""Which class does which method."""

from __future__ import annotations

from collections.abc import Callable

from app.operation import ShouldStop
from app.prune.ffn import Ffn
from app.prune.kv_groups import KvGroups
from app.prune.layers import Layers
from app.prune.magnitude import GlobalMagnitude, Magnitude
from app.prune.messages import Prune, PruneMethod
from app.prune.method import Method
from app.prune.sparsegpt import SparseGpt
from app.prune.wanda import Wanda

METHODS: dict[PruneMethod, Callable[[Prune, ShouldStop], Method]] = {
    PruneMethod.MAGNITUDE: Magnitude,
    PruneMethod.GLOBAL_MAGNITUDE: GlobalMagnitude,
    PruneMethod.WANDA: Wanda,
    PruneMethod.SPARSEGPT: SparseGpt,
    PruneMethod.FFN: Ffn,
    PruneMethod.KV_GROUPS: KvGroups,
    PruneMethod.LAYERS: Layers,
}
