"""What was asked of the servers, for tests to look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Record:
    """One request; it is there as soon as it arrives, and its numbers grow while it is answered."""

    server: str
    method: str
    path: str
    headers: dict[str, str]
    """With lower-case names."""
    status: int = 0
    bytes_sent: int = 0

    @property
    def range(self) -> str:
        return self.headers.get("range", "")
