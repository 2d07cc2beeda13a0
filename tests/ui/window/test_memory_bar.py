"""The memory bar adds up to the memory of the computer, whatever was measured."""

from __future__ import annotations

import pytest

from app.engine.messages import MemoryNeed
from ui.window.performance_panel import MemoryBar, memory_parts

GB = 10**9
NEED = MemoryNeed(weights_bytes=4 * GB, kv_bytes=1 * GB, compute_bytes=GB // 2)


@pytest.mark.parametrize("child", [0, GB, 4 * GB, 5 * GB, 6 * GB, 9 * GB])
@pytest.mark.parametrize("need", [None, NEED])
def test_parts_add_up_to_the_total(child: int, need: MemoryNeed | None) -> None:
    parts = memory_parts(16 * GB, 6 * GB, child, GB // 10, need)
    assert sum(part.count_bytes for part in parts) == 16 * GB
    assert all(part.count_bytes >= 0 for part in parts)


def test_engine_is_split_by_what_each_part_needs() -> None:
    sizes = {part.word: part.count_bytes for part in memory_parts(16 * GB, 6 * GB, 6 * GB, 0, NEED)}
    assert sizes["Weights"] == 4 * GB
    assert sizes["Conversation (KV cache)"] == GB
    assert sizes["Working buffers"] == sizes["Rest of Bantam"] == GB // 2
    assert sizes["Other programs"] == 4 * GB
    assert sizes["Free"] == 6 * GB


def test_while_loading_the_weights_fill_up_first() -> None:
    sizes = {part.word: part.count_bytes for part in memory_parts(16 * GB, 12 * GB, 2 * GB, 0, NEED)}
    assert (sizes["Weights"], sizes["Conversation (KV cache)"]) == (2 * GB, 0)


def test_bar_can_be_heard(qtbot) -> None:
    bar = MemoryBar()
    qtbot.addWidget(bar)
    bar.set_parts(memory_parts(16 * GB, 6 * GB, 6 * GB, 0, NEED))
    assert "Weights 4.0 GB" in bar.accessibleDescription()
