"""The table of operations: one shape, and all that comes of them can be told to the window."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import operations
from app.engine.messages import CountTokens, Message, Role
from app.errors import AppError
from app.operation import Context, Event, Request, StopFlag
from app.operations import EVENTS, OPERATIONS, REQUESTS, RESULTS, operation_of
from app.system.paths import Paths


def wrong_shape(request: type[Request], function: Callable[..., Any]) -> str:
    """What is not as it should be with the operation of `request`; "" where all is."""
    hints = typing.get_type_hints(function)
    result = hints.pop("return", None)
    given = list(hints.values())[:2]
    if given != [request, Context]:
        return f"{function.__name__} takes {given}"
    results = typing.get_args(result) or (result,)
    missing = [one for one in results if one is not type(None) and one not in RESULTS]
    return f"{function.__name__} gives {missing}" if missing else ""


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda cls: cls.__name__)
def test_it_takes_its_request_and_a_context_and_gives_a_known_result(request_type: type[Request]) -> None:
    assert wrong_shape(request_type, operation_of(request_type)) == ""


def test_another_shape_is_seen() -> None:
    def stopped_by_hand(_request: CountTokens, _stop: StopFlag) -> None: ...

    def gives_what_nobody_knows(_request: CountTokens, _context: Context) -> Path: ...

    for function in (stopped_by_hand, gives_what_nobody_knows):
        function.__annotations__ = {k: globals().get(v, v) for k, v in function.__annotations__.items()}
        assert wrong_shape(CountTokens, function)


def test_every_result_comes_of_an_operation() -> None:
    given = [typing.get_type_hints(operation_of(request))["return"] for request in OPERATIONS]
    made = {one for result in given for one in (typing.get_args(result) or (result,))}
    assert set(RESULTS) <= made


def test_requests_are_frozen_and_events_are_events() -> None:
    assert all(issubclass(cls, Request) and cls.__dataclass_params__.frozen for cls in REQUESTS)  # type: ignore[attr-defined]
    assert all(issubclass(cls, Event) and dataclasses.is_dataclass(cls) for cls in EVENTS)


def test_what_is_no_request_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="Message"):
        operations.run(Message(Role.USER, "hello"), Context(Paths(tmp_path)))  # type: ignore[arg-type]


def test_another_function_in_place_of_a_flag_is_not_lost_in_silence() -> None:
    assert not Context().flag()
    flag = StopFlag()
    assert Context(stop=flag).flag is flag
    with pytest.raises(TypeError):
        _ = Context(stop=lambda: True).flag
