"""Tensors that get a type together: matrices of one kind in a stretch of layers, embedding and output matrix alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.inspect.tensors import Tensor
from app.quantize.messages import TensorOverride


@dataclass(frozen=True, slots=True)
class Group:
    """`kind` is the name without layer and ending: "ffn_down"; `layers` is empty for a tensor of no layer."""

    kind: str
    layers: tuple[int, ...]
    tensors: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """ "ffn_down, layers 0 to 3"."""
        if not self.layers:
            return self.kind
        first, last = self.layers[0], self.layers[-1]
        return f"{self.kind}, layer {first}" if first == last else f"{self.kind}, layers {first} to {last}"

    @property
    def elements(self) -> int:
        """Weights in it."""
        return sum(tensor.row.elements for tensor in self.tensors)

    @property
    def columns(self) -> int:
        """Greatest common divisor of its widths: what the block of a type must divide."""
        return int(np.gcd.reduce([tensor.columns for tensor in self.tensors]))


def groups_of(tensors: Mapping[str, Tensor], wanted: Collection[str], bands: int) -> tuple[Group, ...]:
    """The `wanted` tensors, each kind divided into at most `bands` stretches of layers."""
    kinds: dict[str, list[Tensor]] = {}
    for name in tensors:
        if name in wanted:
            kinds.setdefault(_kind(name), []).append(tensors[name])
    found = []
    for kind, members in kinds.items():
        members.sort(key=lambda tensor: tensor.row.block)
        for part in np.array_split(np.arange(len(members)), min(max(1, bands), len(members))):
            chosen = tuple(members[number] for number in part)
            layers = tuple(tensor.row.block for tensor in chosen if tensor.row.block >= 0)
            found.append(Group(kind, layers, chosen))
    return tuple(found)


def overrides_of(groups: Sequence[Group], types: Sequence[str]) -> tuple[TensorOverride, ...]:
    """Regular expressions for Quantize that give each group its type; one for a kind that has the same everywhere."""
    found = []
    for kind in dict.fromkeys(group.kind for group in groups):
        given: dict[str, list[Group]] = {}
        for group, stored in zip(groups, types, strict=True):
            if group.kind == kind:
                given.setdefault(stored, []).append(group)
        for stored, members in given.items():
            found.append(TensorOverride(_pattern(kind, members, whole=len(given) == 1), stored))
    return tuple(found)


def _kind(name: str) -> str:
    return re.sub(r"^blk\.\d+\.", "", name).removesuffix(".weight")


def _pattern(kind: str, members: Sequence[Group], *, whole: bool) -> str:
    layers = [layer for group in members for layer in group.layers]
    if not layers:
        return rf"^{re.escape(kind)}\.weight"
    where = r"\d+" if whole else f"({'|'.join(map(str, sorted(layers)))})"
    return rf"^blk\.{where}\.{re.escape(kind)}\.weight"
