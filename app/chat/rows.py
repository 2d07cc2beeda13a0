"""Between the dataclasses and the columns of the chat database. Reading never fails: a bad field closes no chat."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from app.chat.conversation import MessageState, StoredMessage
from app.engine.draft_messages import DraftFigures
from app.engine.messages import AnswerStatistics, Role, Sampling, StopReason

LATEST = 253_402_300_800.0
MESSAGE_COLUMNS = "id, parent_id, role, content, created_at, model_name, state, statistics"


def clean_text(text: str) -> str:
    """`text` as SQLite can keep it: half of a surrogate pair, which UTF-8 has no form for, becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def encode_sampling(sampling: Sampling) -> str:
    """The sampling values as a column keeps them."""
    return json.dumps(dataclasses.asdict(sampling))


def decode_sampling(stored: Any) -> Sampling:
    """The sampling values of a column; what is unusable in it is the default."""
    usable: dict[str, Any] = {}
    for name, value in _object(stored).items():
        default = getattr(Sampling(), name, None)
        if name == "stop" and isinstance(value, list):
            usable[name] = tuple(str(item) for item in value)
        elif name == "seed":
            usable[name] = value if isinstance(value, int) and not isinstance(value, bool) else None
        elif isinstance(default, float) and _is_number(value):
            usable[name] = float(value)
        elif isinstance(default, int) and _is_number(value):
            usable[name] = int(value)
    return Sampling(**usable)


def encode_statistics(statistics: AnswerStatistics | None) -> str | None:
    """The statistics as a column keeps them."""
    return None if statistics is None else json.dumps(dataclasses.asdict(statistics))


def decode_statistics(stored: Any) -> AnswerStatistics | None:
    """The statistics of a column, or None where they are not all there."""
    data = _object(stored)
    reason = data.pop("stop_reason", None)
    drafting = data.pop("drafting", None)
    numbers = _numbers(AnswerStatistics, data, except_for=("stop_reason", "drafting"))
    if numbers is None or reason not in set(StopReason):
        return None
    return AnswerStatistics(**numbers, stop_reason=StopReason(reason), drafting=_decode_drafting(drafting))


def _decode_drafting(data: Any) -> DraftFigures | None:
    if not isinstance(data, dict) or not isinstance(data.get("is_on"), bool):
        return None
    numbers = _numbers(DraftFigures, data, except_for=("is_on",))
    return None if numbers is None else DraftFigures(is_on=data["is_on"], **numbers)


def _numbers(kind: Any, data: dict[str, Any], except_for: tuple[str, ...]) -> dict[str, Any] | None:
    """The fields of a dataclass that are numbers, as the types they should have; None where one is not there."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        if f.name in except_for:
            continue
        value = data.get(f.name, f.default)
        if not _is_number(value):
            return None
        values[f.name] = float(value) if f.type == "float" else int(value)
    return values


def decode_message(row: Iterable[Any], sibling_ids: tuple[int, ...] = ()) -> StoredMessage:
    """A row of MESSAGE_COLUMNS. An unknown role is taken for an answer, an unknown state for a complete one."""
    id_, parent_id, role, content, created_at, model_name, state, statistics = row
    return StoredMessage(
        id=int(id_),
        parent_id=parent_id if isinstance(parent_id, int) else None,
        role=Role(role) if role in set(Role) else Role.ASSISTANT,
        content=as_text(content),
        created_at=as_time(created_at),
        model_name=as_text(model_name),
        state=MessageState(state) if state in set(MessageState) else MessageState.COMPLETE,
        statistics=decode_statistics(statistics),
        sibling_ids=sibling_ids or (int(id_),),
    )


def as_text(value: Any) -> str:
    """A column as text, whatever type it has in a database that was damaged."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def as_time(value: Any) -> float:
    """A column as seconds since 1970, 0 where it is no time that a calendar has."""
    return float(value) if _is_number(value) and 0 <= value < LATEST else 0.0


def _object(stored: Any) -> dict[str, Any]:
    try:
        data = json.loads(stored) if isinstance(stored, (str, bytes)) else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_number(value: Any) -> bool:
    """A finite number, as JSON's NaN and Infinity are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
