"""From token bytes to text that can be shown: whole characters, and nothing that may still become a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Feed the bytes of each token; take the text that is certain."""

    def __init__(self, stop_strings: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stop_strings if stop]
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Text that can be shown now; empty while a character is incomplete or a stop string is possible.

        When a stop string is complete, `stopped` becomes True, the text before it is returned and the rest dropped.
        """
        if self.stopped:
            return ""
        self._held += self._decoder.decode(piece)
        first = min((at for stop in self._stops if (at := self._held.find(stop)) >= 0), default=-1)
        if first >= 0:
            self.stopped = True
            return self._take(first)
        return self._take(len(self._held) - self._possible_start())

    def finish(self) -> str:
        """What was held back, at the end of the answer. An incomplete character becomes U+FFFD."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(b"", final=True)
        return self._take(len(self._held))

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text

    def _possible_start(self) -> int:
        """Length of the longest tail that is the beginning of a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
