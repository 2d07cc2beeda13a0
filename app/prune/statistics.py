"""Sums up what flows into the linear layers of a block while windows of text run through it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.errors import PruneError
from app.prune.block_model import BlockModel
from app.prune.method import Inputs, Statistic, Tick
from app.prune.weights import linear_layers

Run = Callable[[], None]


def collect(index: int, block: nn.Module, needs: Mapping[str, Statistic], run: Run) -> dict[str, Inputs]:
    """The inputs of the linear layers named in `needs` while `run` sends windows through the block.

    Layers that are given the very same tensor share their `Inputs`: it is summed up once. Raises PruneError where a
    value is not finite; `index` is the block's number in that message.
    """
    sums = _Sums(needs)
    with _hooked(block, needs, sums):
        run()
    for name, found in sums.inputs.items():
        if not found.sum_squares.isfinite().all():
            raise not_a_number(index, f"in what flows into “{name}”")
    return {name: sums.inputs[leader] for name, leader in sums.leaders.items()}


def not_a_number(index: int, where: str) -> PruneError:
    """The error for activations that are not finite."""
    return PruneError(
        f"Block {index} of the model computes a value that is not a number, {where}.",
        "A model like this cannot be measured or run. Its files are damaged, or its training went wrong.",
    )


class _Sums:
    def __init__(self, needs: Mapping[str, Statistic]) -> None:
        self._needs = needs
        self.inputs: dict[str, Inputs] = {}
        self.leaders: dict[str, str] = {}
        """For each layer the one whose sums it shares: itself, or the first layer that was given the same tensor."""
        self._current: dict[tuple[int, Statistic], tuple[str, Tensor]] = {}

    def next_window(self) -> None:
        self._current.clear()

    def see(self, name: str, hidden: Tensor) -> None:
        kind = self._needs[name]
        # The tensor is kept with its id: a tensor made after it was freed could have the same id.
        leader, _ = self._current.setdefault((id(hidden), kind), (name, hidden))
        if self.leaders.setdefault(name, leader) == name:
            self._add(name, kind, hidden.reshape(-1, hidden.shape[-1]))

    def _add(self, name: str, kind: Statistic, rows: Tensor) -> None:
        width = rows.shape[1]
        if name not in self.inputs:
            self.inputs[name] = Inputs(0, torch.zeros(width))
            if kind is Statistic.GRAM:
                self.inputs[name].gram, self.inputs[name].sums = torch.zeros(width, width), torch.zeros(width)
        inputs = self.inputs[name]
        inputs.tokens += len(rows)
        inputs.sum_squares += rows.square().sum(0)
        if inputs.gram is not None and inputs.sums is not None:
            inputs.gram.addmm_(rows.T, rows)
            inputs.sums += rows.sum(0)
        if kind is Statistic.VALUES:
            inputs.values.append(rows)


@contextmanager
def _hooked(block: nn.Module, needs: Mapping[str, Statistic], sums: _Sums) -> Iterator[None]:
    layers = linear_layers(block)
    hooks = [layers[name].register_forward_pre_hook(_sees(sums, name)) for name in needs]
    hooks.append(block.register_forward_pre_hook(lambda *_: sums.next_window()))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _sees(sums: _Sums, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    return lambda _layer, arguments: sums.see(name, arguments[0])


@dataclass(frozen=True, slots=True)
class Passed:
    """One block with what flowed through it: `before` and `after` are [windows, tokens, width]."""

    index: int
    block: nn.Module
    inputs: dict[str, Inputs]
    before: Tensor
    after: Tensor

    @property
    def energy(self) -> float:
        """Energy of the block's output: the median over the tokens, since a few tokens have a thousand times more than
        others.
        """
        return max(float(self.after.square().sum(dim=-1).median()), 1e-12)


def pass_through(model: BlockModel, windows: Tensor, needs: Mapping[str, Statistic], tick: Tick) -> Iterator[Passed]:
    """Run the whole text through the model and yield every block in order, before anything is cut.

    `needs` names the linear layers whose inputs are summed up, the same in each block. Raises PruneError for a weight
    or a value that is not finite, and what `tick` raises.
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


def allocate(values: Sequence[Sequence[float]], total: int) -> list[int]:
    """How many units each layer keeps of a budget of `total` units, at least one each: those that are worth most.

    `values` has for each layer what its units are worth, the best one first. Taking the best unit that is left each
    time is therefore optimal.
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
