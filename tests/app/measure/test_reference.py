"""A folder of safetensors as the reference: converted for the measurement, and gone after it however that ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine import machine_record
from app.errors import AppError, Cancelled
from app.measure.messages import MeasureQuality
from app.measure.quality import as_gguf, measure_quality
from app.operation import Context, Event, Progress, Stage
from app.system.paths import STARTER_MODEL, Paths
from tests.real_models import EVAL_CODE, STDLIB_3M


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "home").ensure()
    machine_record.remember_safe_mode(paths.machine, "a test")
    return paths


def left(paths: Paths) -> list[Path]:
    folder = paths.reference_copy(STDLIB_3M).parent
    return list(folder.iterdir()) if folder.exists() else []


def never() -> bool:
    return False


def test_a_model_is_compared_with_the_folder_it_was_made_of(paths: Paths, tmp_path: Path) -> None:
    model = tmp_path / "q8.gguf"
    convert(Convert(STDLIB_3M, model, "q8_0"), Context(stop=never))
    events: list[Event] = []
    request = MeasureQuality(model, STDLIB_3M, text=EVAL_CODE, context_tokens=128, chunks=2, threads=1)
    quality = measure_quality(request, Context(paths=paths, report=events.append, stop=never))
    assert quality.reference == STDLIB_3M
    assert quality.kl_mean is not None
    assert 0 < quality.kl_mean.value < 0.05
    assert any(isinstance(event, Progress) and event.stage is Stage.CONVERT for event in events)
    assert left(paths) == []


def test_the_copy_is_there_while_it_is_read_and_replaces_what_was_left(paths: Paths) -> None:
    copy = paths.reference_copy(STDLIB_3M)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"half of a file")
    with as_gguf(STDLIB_3M, paths, lambda _: None, never) as reference:
        assert reference == copy
        assert copy.read_bytes()[:4] == b"GGUF"
    assert left(paths) == []


def test_a_file_is_taken_as_it_is(paths: Paths) -> None:
    with as_gguf(STARTER_MODEL, paths, lambda _: None, never) as reference:
        assert reference == STARTER_MODEL
    assert STARTER_MODEL.exists()


def test_nothing_is_left_of_a_cancelled_or_failed_one(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(Cancelled), as_gguf(STDLIB_3M, paths, lambda _: None, lambda: True):
        pass
    assert left(paths) == []
    broken = tmp_path / "broken"
    shutil.copytree(STDLIB_3M, broken)
    (broken / "config.json").write_text("{}")
    with pytest.raises(AppError), as_gguf(broken, paths, lambda _: None, never):
        pass
    assert left(paths) == []
