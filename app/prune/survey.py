"""One pass of the calibration text through the whole model, a block in memory at a time, before anything is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.prune.block_model import BlockModel
from app.prune.method import Inputs, Statistic, Tick
from app.prune.statistics import collect


@dataclass(frozen=True, slots=True)
class Passed:
    """One block, and what flowed through it: `before` and `after` are [windows, tokens, width]."""

    index: int
    block: nn.Module
    inputs: dict[str, Inputs]
    before: Tensor
    after: Tensor

    @property
    def energy(self) -> float:
        """Of the stream behind the block: the median over the tokens, for a few tokens gather a thousand times more."""
        return max(float(self.after.square().sum(dim=-1).median()), 1e-12)


def pass_through(model: BlockModel, windows: Tensor, needs: Mapping[str, Statistic], tick: Tick) -> Iterator[Passed]:
    """Every block in its order. `needs` names the linear layers whose inputs are summed up, the same in each block.

    Raises PruneError for a weight or a value that is no number; what `tick` raises.
    """
    hidden = model.embed(windows)
    for index in range(model.layers):
        block = model.block(index)
        after = torch.empty_like(hidden)

        def run(index: int = index, block: nn.Module = block, before: Tensor = hidden, after: Tensor = after) -> None:
            for number, window in enumerate(before):
                after[number] = model.run(index, block, window)
                tick((index + (number + 1) / len(before)) / model.layers)

        inputs = collect(index, block, needs, run)
        yield Passed(index, block, inputs, hidden, after)
        hidden = after
