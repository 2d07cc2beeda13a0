"""The flag that stops the engine: set from another thread, read by Python between tokens and by C inside one."""

from __future__ import annotations

import ctypes


class StopFlag:
    """False until `set`. Callable, so that it serves wherever an operation takes a `ShouldStop`.

    The flag is a C string, empty or of length one. llama.cpp asks its abort callback before every node of the graph;
    a callback written in Python would take the interpreter's lock some 500 times a token. libc's `strlen` over this
    buffer answers the same question, true or false, without entering Python at all.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self._buffer[0] != b"\0"

    def set(self) -> None:
        """Ask for a stop. Safe from any thread."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Forget the last stop, before the next operation."""
        self._buffer[0] = b"\0"

    @property
    def address(self) -> int:
        """Where the C string lies; valid as long as this object is."""
        return ctypes.addressof(self._buffer)
