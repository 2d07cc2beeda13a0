"""The lines between the window and its child: one JSON object a line, made from the dataclasses of `app` and back.

Request     {"id": 7, "type": "Generate", "value": {...}}        window -> child
Stop        {"id": 7, "type": "Stop"}                            window -> child: stop request 7, finish it in order
Event       {"id": 7, "type": "Token", "value": {...}}           child -> window, any number
End         {"id": 7, "end": "result" | "cancelled" | "failed", "type": ..., "value": {...}}   exactly one a request
Hello       {"id": 0, "type": "Hello", "value": {"pid": ...}}    child -> window, once, when requests can be sent
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from app import events, requests


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
    """A line that is not of this protocol."""


_TYPES: dict[str, type] = {
    cls.__name__: cls
    for module in (requests, events)
    for cls in vars(module).values()
    if isinstance(cls, type) and is_dataclass(cls)
} | {cls.__name__: cls for cls in (Hello, Stop, Failure)}


def encode(line: Line) -> bytes:
    """One line of UTF-8 ending in a newline."""
    data: dict[str, Any] = {"id": line.id}
    if line.end is not None:
        data["end"] = line.end.value
    if line.value is not None:
        data["type"] = type(line.value).__name__
        data["value"] = _plain(line.value)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def decode(raw: bytes) -> Line:
    """The reverse of `encode`. Raises ProtocolError for anything else."""
    try:
        data = json.loads(raw)
        value = _build(_TYPES[data["type"]], data.get("value") or {}) if "type" in data else None
        return Line(int(data["id"]), value, End(data["end"]) if "end" in data else None)
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"not a line of the protocol: {raw[:200]!r}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _build(cls: Any, data: Any) -> Any:
    if is_dataclass(cls):
        hints = _hints(cls)
        return cls(**{name: _build(hints[name], value) for name, value in data.items() if name in hints})  # type: ignore[operator]
    origin, arguments = typing.get_origin(cls), typing.get_args(cls)
    if origin in (typing.Union, types.UnionType):
        return None if data is None else _build(next(a for a in arguments if a is not type(None)), data)
    if origin is tuple:
        return tuple(_build(arguments[0], item) for item in data)
    if isinstance(cls, type) and issubclass(cls, (Enum, Path)):
        return cls(data)
    return data


_hint_cache: dict[Any, dict[str, Any]] = {}


def _hints(cls: Any) -> dict[str, Any]:
    """The resolved field types of a dataclass, remembered: resolving costs more than the decoding itself."""
    if cls not in _hint_cache:
        _hint_cache[cls] = typing.get_type_hints(cls)
    return _hint_cache[cls]
