"""How a budget is spread over layers of unequal importance."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def allocate(values: Sequence[Sequence[float]], total: int) -> list[int]:
    """How many units each layer keeps, `total` in all and one at least: those that are worth most.

    `values` has for each layer what its units are worth, the best one first. Taking the best that is left is then the
    best choice of all.
    """
    kept = [1] * len(values)
    waiting = [(-units[1], layer) for layer, units in enumerate(values) if len(units) > 1]
    heapq.heapify(waiting)
    for _ in range(total - len(values)):
        _, layer = heapq.heappop(waiting)
        kept[layer] += 1
        if kept[layer] < len(values[layer]):
            heapq.heappush(waiting, (-values[layer][kept[layer]], layer))
    return kept
