"""How much memory a model may take here: what the system, the window and other programs need is not offered."""

from __future__ import annotations

from app.fit.judgement import MemoryBudget
from app.system.hardware import available_memory_bytes, total_memory_bytes

SYSTEM_SHARE = 0.10
SYSTEM_LEAST_BYTES = 1_500_000_000
"""What a desktop takes with nothing open but this window, and no less than a tenth."""
SPARE_BYTES = 150_000_000
"""Of what is available now this much stays free: the last megabytes are where a system begins to swap."""


def memory_budget(given_back_bytes: int = 0) -> MemoryBudget:
    """The budget of this machine. `given_back_bytes` is what the model that is loaded now would free."""
    return budget_of(total_memory_bytes(), available_memory_bytes() + given_back_bytes)


def budget_of(total_bytes: int, available_bytes: int) -> MemoryBudget:
    """The budget where so much memory is built in (or allowed by a cgroup) and so much is available."""
    system = max(SYSTEM_LEAST_BYTES, int(total_bytes * SYSTEM_SHARE))
    machine = max(0, total_bytes - system)
    now = max(0, available_bytes - SPARE_BYTES)
    return MemoryBudget(max(machine, now), now)
