"""Magnitude pruning (Han et al. 2015, arXiv 1506.02626): the weights nearest to zero, of each matrix or of all.

The threshold is found exactly and without sorting: the bits of positive float32 numbers are in the order of their
values, so one histogram of the upper half of the bits finds the bin, and one of the lower half the value in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.errors import PruneError
from app.library.gguf_reader import printable
from app.library.provenance import Sparsity
from app.operation import ShouldStop
from app.prune.block_model import BlockModel
from app.prune.messages import Prune
from app.prune.method import Inputs, Method, Plan, Statistic, Tick
from app.prune.weights import linear_layers, parts, stretches
from app.units import percent

# What the methods that set weights to zero share: the amount, the pattern, the recipe's words.


_PATTERN = re.compile(r"([1-9]\d?):([1-9]\d?)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern such as 2:4: `zeros` zeros among each `group` neighbours of a row."""

    zeros: int
    group: int


def pattern_of(request: Prune) -> Pattern | None:
    """The requested pattern, if any. Raises PruneError for one that is impossible or contradicts the amount."""
    if not request.pattern:
        return None
    found = _PATTERN.fullmatch(request.pattern)
    if found is None or int(found[1]) >= int(found[2]):
        raise PruneError(f"“{printable(request.pattern)}” is not a pattern.", "Take 2:4 or 4:8, or none.")
    pattern = Pattern(int(found[1]), int(found[2]))
    if abs(pattern.zeros / pattern.group - request.amount) > 1e-6:
        raise PruneError(
            f"The pattern {request.pattern} sets {percent(pattern.zeros / pattern.group)} of the weights to zero, and "
            f"{percent(request.amount)} were asked for.",
            "Leave the pattern out, or ask for what it sets.",
        )
    return pattern


class SparseMethod(Method):
    """Sets weights to zero, anywhere or a fixed number in each group of neighbours."""

    def __init__(self, request: Prune, stop: ShouldStop) -> None:
        super().__init__(request, stop)
        self.pattern = pattern_of(request)

    def check(self, model: BlockModel) -> None:
        """See Method."""
        if self.pattern is None:
            return
        for index, name, tensor in model.matrices():
            if tensor.shape[1] % self.pattern.group:
                raise PruneError(
                    f"The rows of “{name}” in block {index} have {tensor.shape[1]} weights, which are no whole groups "
                    f"of {self.pattern.group}.",
                    "Leave the pattern out.",
                )

    def step(self) -> Sparsity:
        """See Method."""
        return Sparsity(str(self.request.method), self.request.amount, self.request.pattern)


SORTED = 1 << 21
"""Number of weights that are sorted at a time: the indices of a sort take twice the weights' memory."""


def zero_lowest_in_groups(weights: Tensor, scores: Tensor, pattern: Pattern) -> None:
    """Set the weights with the lowest scores of each group to zero; where scores are equal, the first ones."""
    groups = scores.view(-1, pattern.group)
    lowest = groups.sort(dim=1, stable=True).indices[:, : pattern.zeros]
    weights.view(-1, pattern.group).scatter_(1, lowest, 0.0)


def zero_lowest_in_rows(weights: Tensor, scores: Tensor, count: int) -> None:
    """Set `count` weights of each row to zero, those with the lowest scores; where they are equal, the first ones."""
    weights.scatter_(1, scores.sort(dim=1, stable=True).indices[:, :count], 0.0)


_HALF_BITS = 16
_BINS = 1 << _HALF_BITS
_STRETCH = 1 << 22

Pass = Callable[[], Iterable[Tensor]]
"""Yields all weights once at each call, in pieces of any shape."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The k smallest magnitudes: those whose bits are below `bits`, and `ties` of those whose bits are equal to it."""

    bits: int
    ties: int


def smallest(weights: Pass, count: int) -> Threshold:
    """The threshold of the `count` smallest magnitudes, exact, in two passes over the weights."""
    if count == 0:
        return Threshold(0, 0)
    upper, below = _find(_histogram(weights, lambda bits: bits >> _HALF_BITS), count)
    lower, rest = _find(_histogram(weights, lambda bits: bits[bits >> _HALF_BITS == upper] & (_BINS - 1)), below)
    return Threshold(upper << _HALF_BITS | lower, rest)


def zero(weights: Tensor, threshold: Threshold) -> int:
    """Set what is below the threshold to zero, and ties from the start on; returns how many ties were used."""
    ties = threshold.ties
    for part in _pieces(weights):
        bits = _bits(part)
        part[bits < threshold.bits] = 0
        if ties:
            equal = (bits == threshold.bits).flatten().nonzero()[:ties, 0]
            part.view(-1)[equal] = 0
            ties -= len(equal)
    return threshold.ties - ties


class Magnitude(SparseMethod):
    """Sets the smallest weights of each matrix to zero."""

    reads_text = False

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        for layer in linear_layers(block).values():
            weights = layer.weight.data
            if self.pattern:
                for rows in parts(weights, SORTED):
                    zero_lowest_in_groups(rows, rows.abs(), self.pattern)
            else:
                count = int(weights.numel() * self.request.amount)
                zero(weights, smallest(lambda weights=weights: _pieces(weights), count))  # type: ignore[misc]


class GlobalMagnitude(SparseMethod):
    """Sets the smallest weights of all matrices together to zero, so that some matrices lose more than others."""

    reads_text = False

    def check(self, model: BlockModel) -> None:
        """See Method."""
        if self.pattern:
            raise PruneError(
                "A pattern takes the same share of every group of weights, so there is nothing to compare over the "
                "whole model.",
                "Take magnitude for each matrix, or leave the pattern out.",
            )

    def survey(self, model: BlockModel, tick: Tick) -> Plan:
        """Find the threshold, and how many of the weights that are equal to it go from each matrix."""
        matrices = list(model.matrices())
        total = sum(tensor.elements for _, _, tensor in matrices)
        seen = 0

        def weights() -> Iterable[Tensor]:
            nonlocal seen
            for _, _, tensor in matrices:
                for _, rows in stretches(tensor):
                    seen += rows.numel()
                    tick(seen / (3 * total))
                    yield rows.float()

        threshold = smallest(weights, int(total * self.request.amount))
        left, ties = threshold.ties, []
        for _, _, tensor in matrices:
            equal = sum(int((_bits(rows.float()) == threshold.bits).sum()) for _, rows in stretches(tensor))
            ties.append(min(equal, left))
            left -= ties[-1]
            seen += tensor.elements
            tick(min(seen / (3 * total), 1.0))
        return {
            "bits": threshold.bits,
            "ties": {f"{index}.{name}": used for (index, name, _), used in zip(matrices, ties, strict=True)},
        }

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        for name, layer in linear_layers(block).items():
            zero(layer.weight.data, Threshold(self.plan["bits"], self.plan["ties"][f"{index}.{name}"]))


def _histogram(weights: Pass, bin_of: Callable[[Tensor], Tensor]) -> Tensor:
    counts = torch.zeros(_BINS, dtype=torch.int64)
    for values in weights():
        for piece in _pieces(values):
            counts += torch.bincount(bin_of(_bits(piece)).flatten(), minlength=_BINS)
    return counts


def _find(counts: Tensor, count: int) -> tuple[int, int]:
    """The bin in which the `count`-th value lies, and its position in that bin, counted from 1."""
    sums = counts.cumsum(0)
    place = int(torch.searchsorted(sums, count))
    return place, count - (int(sums[place - 1]) if place else 0)


def _bits(values: Tensor) -> Tensor:
    """The magnitudes' bits: whole numbers in the same order as the magnitudes."""
    return values.abs().view(torch.int32)


def _pieces(values: Tensor) -> Iterable[Tensor]:
    """Flat views, so short that temporary 64-bit numbers for one of them take little memory."""
    return parts(values.view(-1), _STRETCH)


# Wanda (Sun et al. 2023, arXiv 2306.11695): a weight's score is its magnitude times the norm of its input.


class Wanda(SparseMethod):
    """Sets the weights of each output row with the lowest |W| ‖x‖ to zero."""

    def needs(self, index: int, block: nn.Module) -> Mapping[str, Statistic]:
        """See Method."""
        return dict.fromkeys(linear_layers(block), Statistic.SUM_SQUARES)

    def cut(self, index: int, block: nn.Module, inputs: Mapping[str, Inputs]) -> None:
        """See Method."""
        for name, layer in linear_layers(block).items():
            wanda(layer.weight.data, inputs[name].sum_squares, self.request.amount, self.pattern)


def wanda(weights: Tensor, sum_squares: Tensor, amount: float, pattern: Pattern | None = None) -> None:
    """Set the share `amount` of each row of `weights` [out, in] to zero, or, with a pattern, that many of each
    group.
    """
    norms = sum_squares.sqrt()
    for rows in parts(weights, SORTED):
        scores = rows.abs() * norms
        if pattern:
            zero_lowest_in_groups(rows, scores, pattern)
        else:
            zero_lowest_in_rows(rows, scores, int(rows.shape[1] * amount))
