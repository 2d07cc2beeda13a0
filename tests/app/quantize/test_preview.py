"""What is promised before the click is what is there after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.memory import memory_need
from app.engine.messages import LoadModel, MachineSpeed, TensorSpeed
from app.errors import ConversionError
from app.fit.speed import SpeedBook, change_speed_book
from app.operation import Context
from app.quantize.messages import PlanOffers, Quantize
from app.quantize.preview import plan_offers
from app.quantize.quantize import quantize
from app.system.paths import Paths, default_paths
from tests.real_models import STDLIB_3M

SPEED = MachineSpeed(
    types=tuple(TensorSpeed(kind, 1e9) for kind in ("Q4_0", "Q4_K", "Q6_K", "Q8_0", "BF16", "F32")),
    kv_bytes_per_second=1e9,
    ms_per_layer=0.1,
    threads=1,
    measured="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


def test_size_and_memory_are_those_of_the_file_that_is_made(paths: Paths, tmp_path: Path) -> None:
    offers = plan_offers(PlanOffers(STDLIB_3M, ("Q4_K_M", "Q8_0"), 1024), Context(paths=paths))
    assert offers.between_bytes > 5_000_000
    for offer in offers.offers:
        request = Quantize(STDLIB_3M, tmp_path / f"{offer.type}.gguf", offer.type)
        made = quantize(request, Context())
        assert made.size_bytes == offer.size_bytes
        need = memory_need(LoadModel(made.path, context_tokens=1024))
        assert (offer.need.weights_bytes, offer.need.kv_bytes, offer.need.compute_bytes) == (
            need.weights_bytes, need.kv_bytes, need.compute_bytes,
        )  # fmt: skip


def test_the_speed_is_told_once_the_machine_was_measured(paths: Paths) -> None:
    request = PlanOffers(STDLIB_3M, ("Q4_0", "Q8_0"))
    assert [offer.ms_per_token for offer in plan_offers(request, Context(paths=paths)).offers] == [None, None]
    change_speed_book(paths.speed, lambda _book: SpeedBook(SPEED))
    four, eight = plan_offers(request, Context(paths=paths)).offers
    assert four.ms_per_token is not None
    assert eight.ms_per_token is not None
    assert four.ms_per_token < eight.ms_per_token
    assert eight.ms_per_token == pytest.approx(eight.need.weights_bytes / 1e6 + 0.2, rel=0.05)


def test_a_folder_that_cannot_be_converted_says_why(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no config\.json"):
        plan_offers(PlanOffers(tmp_path, ("Q4_0",)), Context(paths=paths))
