"""What crosses the pipe comes out as it went in, and rubbish is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.engine.messages import (
    AnswerStatistics,
    ConversationOpened,
    FlashAttention,
    Generate,
    KvType,
    LoadModel,
    MemoryNeed,
    Message,
    ModelLoaded,
    Role,
    Sampling,
    StopReason,
    ThreadCounts,
    Token,
    TooLarge,
)
from app.operation import Progress, Stage
from workers.protocol import End, Failure, Hello, Line, ProtocolError, Stop, decode, encode

NEED = MemoryNeed(1, 2, 3)
STATISTICS = AnswerStatistics(1, 2, 3, 4, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, StopReason.STOP_STRING, 11)
VALUES = [
    Hello(4711),
    Stop(),
    Failure("It went wrong.", "Do this.", "Traceback …"),
    LoadModel(Path("/models/a b.gguf"), 2048, KvType.Q8_0, FlashAttention.ON, ThreadCounts(2, 4), True),
    Generate(
        "one",
        (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "línea\nzwei\u2028drei 🐓")),
        Sampling(seed=7, stop=("</s>", "\n\n")),
    ),
    Generate("none", ()),
    Token("x", 5.25, from_draft=True),
    Token("", 5.0, statistics=STATISTICS),
    Progress(Stage.WARM_UP, 1, 2),
    TooLarge(Path("x.gguf"), NEED, 5, "Too large."),
    ModelLoaded(Path("x.gguf"), "x", "llama", "Q8_0", 1, 2, 3, True, NEED, ThreadCounts(1, 2), False, 4.5),
    ConversationOpened("one", 12),
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("end", [None, *End])
def test_there_and_back(value: Any, end: End | None) -> None:
    line = Line(7, value, end)
    raw = encode(line)
    assert decode(raw) == line
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")


def test_types_survive_inside() -> None:
    request = decode(encode(Line(1, VALUES[4]))).value
    assert isinstance(request.messages, tuple)
    assert request.messages[0].role is Role.SYSTEM
    assert request.sampling.stop == ("</s>", "\n\n")
    assert isinstance(decode(encode(Line(1, VALUES[3]))).value.path, Path)


def test_half_a_character_does_not_break_the_line() -> None:
    assert decode(encode(Line(1, Token("a\ud83d", 1.0)))).value.text == "a?"


def test_a_field_that_is_not_known_is_refused_by_name() -> None:
    """Window and child are of one version: what one of them would pass over in silence is a fault."""
    data = json.loads(encode(Line(1, Token("x", 1.0))))
    data["value"]["colour"] = "green"
    with pytest.raises(ProtocolError, match="Token has no field “colour”"):
        decode(json.dumps(data).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"native garbage",
        b"[1, 2]",
        b"7",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"id": "x"}',
        b'{"id": 1, "type": "Popen", "value": {}}',
        b'{"id": 1, "type": "Token", "value": {"text": "x"}}',
        b'{"id": 1, "type": "Token", "value": [1]}',
        b'{"id": 1, "type": "Progress", "value": {"stage": "lunch", "done": 1, "total": 2}}',
        b'{"id": 1, "end": "perhaps"}',
        b'{"id": 1, "type": "Tok',
    ],
)
def test_rubbish_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(raw)
