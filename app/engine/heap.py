"""How much of the C heap is in use: the difference around a load is what the vocabulary and the tensor list take."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Callable


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


@functools.cache
def _mallinfo2() -> Callable[[], _Mallinfo2] | None:
    """glibc's own count (mallinfo(3), from 2.33); None elsewhere."""
    try:
        function = ctypes.CDLL(ctypes.util.find_library("c")).mallinfo2
    except (OSError, AttributeError, TypeError):
        return None
    function.restype = _Mallinfo2
    return function


def heap_bytes() -> int | None:
    """Bytes that the process has from malloc and not given back; None where the C library does not count them."""
    count = _mallinfo2()
    if count is None:
        return None
    state = count()
    return int(state.uordblks + state.hblkhd)
