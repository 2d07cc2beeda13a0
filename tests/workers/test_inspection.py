"""The inside of a model, asked of a real child."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.inspect.messages import Inside, LookAtTensor, LookInside, SuggestTypes, TensorLook
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.scenes_inside import suggestion
from tests.workers.conftest import TIMEOUT_MS
from workers.protocol import End, Line, decode, encode
from workers.recipe_plans import InsideService


@pytest.fixture
def service(paths: Paths) -> Iterator[InsideService]:
    service = InsideService(paths)
    yield service
    service.close()
    shiboken6.delete(service)


def test_the_list_and_then_a_tensor(service: InsideService, qtbot: QtBot) -> None:
    with qtbot.waitSignal(service.listed, timeout=TIMEOUT_MS) as listed:
        service.ask(LookInside(STARTER_MODEL))
    inside: Inside = listed.args[0]
    assert len(inside.tensors) == 56
    with qtbot.waitSignal(service.looked, timeout=TIMEOUT_MS) as looked:
        service.ask(LookAtTensor(STARTER_MODEL, "output_norm.weight"))
    found: TensorLook = looked.args[0]
    assert found.tensor in inside.tensors
    assert found.histogram.read == 512


def test_the_last_question_is_answered(service: InsideService, qtbot: QtBot) -> None:
    refused: list[object] = []
    service.refused.connect(lambda *given: refused.append(given))
    with qtbot.waitSignal(service.looked, timeout=TIMEOUT_MS) as looked:
        service.ask(LookAtTensor(STARTER_MODEL, "token_embd.weight"))
        service.ask(LookAtTensor(STARTER_MODEL, "gone"))
        service.ask(LookAtTensor(STARTER_MODEL, "output_norm.weight"))
    assert looked.args[0].tensor.name == "output_norm.weight"
    assert refused == []


def test_trouble_is_a_sentence(service: InsideService, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(service.refused, timeout=TIMEOUT_MS) as refused:
        service.ask(LookInside(tmp_path / "gone.gguf"))
    assert "not there" in refused.args[1]


def test_a_child_that_dies_is_a_sentence(paths: Paths, qtbot: QtBot, tmp_path: Path) -> None:
    service = InsideService(paths, (sys.executable, "-c", "import os; os.abort()"))
    with qtbot.waitSignal(service.refused, timeout=TIMEOUT_MS) as refused:
        service.ask(LookInside(tmp_path))
    assert "cannot look inside" in refused.args[1]
    service.close()
    shiboken6.delete(service)


def test_what_is_said_of_types_comes_through_the_protocol() -> None:
    line = Line(3, suggestion(), End.RESULT)
    assert decode(encode(line)) == line
    asked = Line(4, SuggestTypes(Path("/m.gguf"), "Q5_K_M", 0.03, Path("/text.txt")))
    assert decode(encode(asked)) == asked
