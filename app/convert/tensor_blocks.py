"""Which tensors are of which transformer block, by their names: the rest are embedding, last norm and output matrix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import prod
from typing import Protocol, TypeVar

_BLOCK = re.compile(r"\.\d+\.")


class Shaped(Protocol):
    """A tensor, there or planned."""

    @property
    def name(self) -> str:
        """In the folder."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""


T = TypeVar("T", bound=Shaped)


def by_block(tensors: Iterable[T]) -> tuple[list[list[T]], list[T]]:
    """Each block's tensors, and all others."""
    blocks: dict[str, list[T]] = {}
    others: list[T] = []
    for tensor in tensors:
        found = _BLOCK.search(tensor.name)
        (blocks.setdefault(tensor.name[: found.end()], []) if found else others).append(tensor)
    return list(blocks.values()), others


def embedding_shape(others: Iterable[Shaped]) -> tuple[int, int]:
    """Tokens of the vocabulary, and the width of the stream."""
    vocabulary, width = max((t.shape for t in others if len(t.shape) == 2), key=prod)
    return vocabulary, width
