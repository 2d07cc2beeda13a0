"""Widths to which an FFN can be cut: multiples of the quantizers' blocks, and never one that makes a larger file.

No torch here, because the window lists these widths.
"""

from __future__ import annotations

from app.errors import PruneError
from app.library.tensor_types import K_QUANT_BLOCK

BLOCK, LEAST_MULTIPLE = K_QUANT_BLOCK, 32
"""Row lengths that the quantizers take: whole blocks of 256 for K-quants, of 32 for the older types."""
_BITS = {BLOCK: 9 + 6.5625, LEAST_MULTIPLE: 9 + 8.5}
"""Bits of a neuron for each element of the residual stream, in Q4_K_M at the most: two rows in Q4_K and a column of the
down projection in Q6_K, which falls back to Q8_0 (`tensor_type_fallback` in llama.cpp's llama-quant.cpp)."""


def widths(before: int, multiple: int = BLOCK) -> list[int]:
    """The possible widths, the widest first: multiples that make every type of file smaller."""
    return [width for width in range((before - 1) // multiple * multiple, 0, -multiple) if _is_smaller(width, before)]


def width_for(before: int, amount: float, multiple: int = BLOCK) -> int:
    """The possible width nearest to `amount` less than `before`. Raises PruneError where there is none."""
    offered = widths(before, multiple)
    if not offered:
        raise PruneError(
            f"The FFN is {before} wide: no narrower width is a multiple of {multiple} and makes a smaller file.",
            f"Take multiples of {LEAST_MULTIPLE}, or drop layers." if multiple > LEAST_MULTIPLE else "Drop layers.",
        )
    return min(offered, key=lambda width: (abs(width - before * (1 - amount)), width))


def _is_smaller(width: int, before: int) -> bool:
    return width * _bits(width) < before * _bits(before)


def _bits(width: int) -> float:
    return _BITS[BLOCK if width % BLOCK == 0 else LEAST_MULTIPLE]
