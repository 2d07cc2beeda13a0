"""Sorts tensors by transformer block, from their names; the others are the embedding, the last norm and the output
matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import prod
from typing import Protocol, TypeVar

_BLOCK = re.compile(r"\.\d+\.")


class Shaped(Protocol):
    """A tensor, written already or planned."""

    @property
    def name(self) -> str:
        """The tensor's name in the folder."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions, rows first."""


T = TypeVar("T", bound=Shaped)


def by_block(tensors: Iterable[T]) -> tuple[list[list[T]], list[T]]:
    """The tensors of each block, and all other tensors."""
    blocks: dict[str, list[T]] = {}
    others: list[T] = []
    for tensor in tensors:
        found = _BLOCK.search(tensor.name)
        (blocks.setdefault(tensor.name[: found.end()], []) if found else others).append(tensor)
    return list(blocks.values()), others


def embedding_shape(others: Iterable[Shaped]) -> tuple[int, int]:
    """Size of the vocabulary, and the width of the residual stream."""
    vocabulary, width = max((t.shape for t in others if len(t.shape) == 2), key=prod)
    return vocabulary, width
