"""What can go wrong with an answer, and the rules that say with which."""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """Faults of a body begin after a share of it has been sent; the others replace the whole answer."""

    DROP = "drop"
    """The connection is closed in the body."""
    RESET = "reset"
    """The connection is reset (TCP RST)."""
    STALL = "stall"
    """Nothing more is sent; the connection stays open."""
    SLOW = "slow"
    """A few bytes at a time."""
    TRUNCATE = "truncate"
    """A body that is too short and says so in its Content-Length: a proxy that lost the rest."""
    EXTEND = "extend"
    """Bytes after the end."""
    CORRUPT = "corrupt"
    """One byte is another."""
    IGNORE_RANGE = "ignore range"
    """200 and the whole file, whatever part was asked for."""
    NO_RANGES = "no ranges"
    """200 and the file from its beginning, whatever part was asked for, and the connection is closed on the way."""
    WRONG_SIZE = "wrong size"
    """The size said before the download is not the body's, `by` some bytes."""
    NO_CHECKSUM = "no checksum"
    """The file's headers name neither an ETag nor the hub's own hash: a mirror."""
    RENAMED = "renamed"
    """The repository has another name now: a redirect that says nothing of the file."""
    TOO_MANY = "429"
    """With Retry-After."""
    UNAVAILABLE = "503"
    FORBIDDEN = "403"
    UNAUTHORIZED = "401"
    HOSTILE_NAMES = "hostile names"
    """The listing holds names that try to leave the folder."""
    NO_ANSWER = "no answer"
    """The request is read and nothing is ever said."""
    HTML = "html"
    """200 and a web page: a captive portal."""


WHOLE_ANSWER = frozenset(
    {Fault.TOO_MANY, Fault.UNAVAILABLE, Fault.FORBIDDEN, Fault.UNAUTHORIZED, Fault.NO_ANSWER, Fault.HTML}
)
IN_BODY = frozenset(
    {
        Fault.DROP,
        Fault.RESET,
        Fault.STALL,
        Fault.SLOW,
        Fault.TRUNCATE,
        Fault.EXTEND,
        Fault.CORRUPT,
        Fault.IGNORE_RANGE,
        Fault.NO_RANGES,
    }
)
HOSTILE = (
    "../outside.gguf", "/etc/absolute.gguf", "C:\\drive.gguf", "a/../../b.gguf", "nul\0byte.gguf", "CON.gguf",
    "x" * 300 + ".gguf", "..\\windows.gguf", "trailing. /x.gguf",
)  # fmt: skip


@dataclass
class Rule:
    """`fault` for the next `times` requests whose path ends as `path` says (-1: for all)."""

    fault: Fault
    at: float = 0.5
    """Where in the file: a share of its size, so that a resumed request meets it at the same place."""
    path: str = "*"
    server: str = ""
    """"hub", "cdn", or "" for both."""
    times: int = 1
    retry_after_s: int = 0
    by: int = 1000


@dataclass
class Rules:
    """The rules in force. Safe to use from the server's threads."""

    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, faults: frozenset[Fault], server: str, path: str) -> Rule | None:
        """The first rule of these faults that applies; it is used up by one."""
        with self._lock:
            for rule in self._rules:
                applies = rule.fault in faults and rule.server in ("", server) and fnmatch.fnmatch(path, rule.path)
                if applies and rule.times:
                    rule.times -= 1
                    return rule
        return None
