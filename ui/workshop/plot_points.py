"""What a plot of the variants is given: its points and its axes, without the library that draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """One variant. `words` stand in its tool tip."""

    path: Path
    label: str
    x: float
    y: float
    words: str
    is_source: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """`from_zero`: where zero means something, as "nothing lost" does."""

    title: str
    from_zero: bool
