"""What quantizing would make, asked of a real child."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.engine.messages import KvType
from app.quantize.messages import Offers
from app.system.paths import Paths
from tests.real_models import STDLIB_3M
from tests.workers.conftest import TIMEOUT_MS
from workers.recipe_plans import OfferService


@pytest.fixture
def service(paths: Paths) -> Iterator[OfferService]:
    service = OfferService(paths)
    yield service
    service.close()
    shiboken6.delete(service)


def ask(service: OfferService, source: Path) -> None:
    service.ask(source, ("Q4_K_M", "Q8_0"), 1024, KvType.F16)


def test_a_folder_is_planned(service: OfferService, qtbot: QtBot) -> None:
    with qtbot.waitSignal(service.answered, timeout=TIMEOUT_MS) as answered:
        ask(service, STDLIB_3M)
    offers: Offers = answered.args[0]
    assert [offer.type for offer in offers.offers] == ["Q4_K_M", "Q8_0"]
    assert 0 < offers.offers[0].size_bytes < offers.offers[1].size_bytes


def test_why_it_cannot_be_planned(service: OfferService, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(service.refused, timeout=TIMEOUT_MS) as refused:
        ask(service, tmp_path)
    assert refused.args[0] == tmp_path
    assert "config.json" in refused.args[1]


def test_the_last_question_is_answered(service: OfferService, qtbot: QtBot, tmp_path: Path) -> None:
    refused: list[object] = []
    service.refused.connect(lambda *given: refused.append(given))
    with qtbot.waitSignal(service.answered, timeout=TIMEOUT_MS):
        ask(service, tmp_path)
        ask(service, STDLIB_3M)
    assert refused == []


def test_a_child_that_dies_is_a_sentence(paths: Paths, qtbot: QtBot, tmp_path: Path) -> None:
    service = OfferService(paths, (sys.executable, "-c", "import os; os.abort()"))
    with qtbot.waitSignal(service.refused, timeout=TIMEOUT_MS) as refused:
        ask(service, tmp_path)
    assert "cannot plan" in refused.args[1]
    service.close()
    shiboken6.delete(service)
