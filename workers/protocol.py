"""The lines between the window and its child: one JSON object a line, made from the dataclasses of `app` and back.

Request     {"id": 7, "type": "Generate", "value": {...}}        window -> child
Stop        {"id": 7, "type": "Stop"}                            window -> child: stop request 7, finish it in order
Event       {"id": 7, "type": "Token", "value": {...}}           child -> window, any number
End         {"id": 7, "end": "result" | "cancelled" | "failed", "type": ..., "value": {...}}   exactly one a request
Hello       {"id": 0, "type": "Hello", "value": {"pid": ...}}    child -> window, once, when requests can be sent
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.operations import EVENTS, REQUESTS, RESULTS
from app.records import build, plain


@dataclass(frozen=True, slots=True)
class Hello:
    """The child is ready for requests."""

    pid: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End the request of the same id early, in order."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, for the user: a sentence, what to do, and for a bug the details to copy."""

    sentence: str
    hint: str = ""
    details: str = ""
    kind: str = ""
    """The class of the AppError, for who can do something about one: "GatedError"."""


class End(StrEnum):
    """How a request ended."""

    RESULT = "result"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Line:
    """One decoded line. `end` is None for requests and events."""

    id: int
    value: Any
    end: End | None = None


class ProtocolError(ValueError):
    """A line that is not of this protocol. `id` is that of the request, where the line has one."""

    def __init__(self, sentence: str, id: int | None = None) -> None:
        super().__init__(sentence)
        self.id = id


_TYPES: dict[str, type] = {cls.__name__: cls for cls in (*REQUESTS, *EVENTS, *RESULTS, Hello, Stop, Failure)}


def encode(line: Line) -> bytes:
    """One line of UTF-8 ending in a newline."""
    data: dict[str, Any] = {"id": line.id}
    if line.end is not None:
        data["end"] = line.end.value
    if line.value is not None:
        data["type"] = type(line.value).__name__
        data["value"] = plain(line.value)
    return _to_json(data).encode("utf-8", "replace") + b"\n"


def decode(raw: bytes) -> Line:
    """The reverse of `encode`. Raises ProtocolError for anything else."""
    data = None
    try:
        data = json.loads(raw.decode())
        value = build(_TYPES[data["type"]], data.get("value", {})) if "type" in data else None
        return Line(int(data["id"]), value, End(data["end"]) if "end" in data else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        number = data.get("id") if isinstance(data, dict) else None
        known = number if isinstance(number, int) and not isinstance(number, bool) else None
        raise ProtocolError(f"not a line of the protocol: {raw[:200]!r} ({error})", known) from error


# Made once: json.dumps with options makes an encoder at each call.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
