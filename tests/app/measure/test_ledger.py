"""The ledger: what was measured is found again, kept apart where it cannot be compared, and survives damage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.messages import BenchResult, MemoryNeed, ThreadCounts
from app.errors import StorageError
from app.library.manifest import FileOrigin, Manifest, write_manifest
from app.measure.ledger import MAX_MEASUREMENTS, figures_of, identity_of, read_ledger, record
from app.measure.messages import Estimate, Quality


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "models" / "small.gguf")


def make_model(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def speed(path: Path, ms: float = 84.0) -> BenchResult:
    need = MemoryNeed(1, 1, 1)
    return BenchResult(path, 4096, 256, 64, ThreadCounts(2, 2), 1.0, 50.0, 12.0, ms, 90.0, 1240.0, need, 10**9, False)


def quality(path: Path, text: str = "bundled 0a1b2c3d", context: int = 512, kl: float | None = 0.02) -> Quality:
    return Quality(
        path,
        path.with_name("source.gguf") if kl is not None else None,
        text,
        context,
        4080,
        Estimate(12.5, 0.2),
        Estimate(12.3, 0.2) if kl is not None else None,
        Estimate(kl, 0.001) if kl is not None else None,
        kl * 9 if kl is not None else None,
        Estimate(0.97, 0.003) if kl is not None else None,
        speed(path),
    )


def name_in_manifest(model: Path) -> None:
    data = model.read_bytes()
    origin = FileOrigin(hashlib.sha256(data).hexdigest(), len(data))
    write_manifest(model.parent, Manifest().with_file(model.name, origin))


def test_what_was_measured_is_found_again(ledger: Path, model: Path) -> None:
    record(ledger, quality(model))
    figures = figures_of(ledger, [model])[model]
    assert figures.measurements[0].kl_mean == Estimate(0.02, 0.001)
    assert figures.measurements[0].top_1 == Estimate(0.97, 0.003)
    assert figures.speed is not None
    assert (figures.speed.ms_per_token, figures.speed.time_to_first_token_ms) == (84.0, 1240.0)
    assert list(ledger.parent.iterdir()) == [ledger]


def test_another_text_context_or_reference_stands_beside_and_the_same_replaces(ledger: Path, model: Path) -> None:
    for one in (quality(model), quality(model, text="mine 1"), quality(model, context=256), quality(model, kl=None)):
        record(ledger, one)
    assert len(figures_of(ledger, [model])[model].measurements) == 4
    record(ledger, quality(model, kl=0.5))
    measurements = figures_of(ledger, [model])[model].measurements
    assert len(measurements) == 4
    assert measurements[0].kl_mean == Estimate(0.5, 0.001)


def test_a_speed_alone_keeps_the_quality_and_the_other_way_round(ledger: Path, model: Path) -> None:
    record(ledger, quality(model))
    record(ledger, speed(model, ms=60.0))
    figures = figures_of(ledger, [model])[model]
    assert len(figures.measurements) == 1
    assert figures.speed is not None
    assert figures.speed.ms_per_token == 60.0
    record(ledger, dataclasses.replace(quality(model), speed=None))
    assert figures_of(ledger, [model])[model].speed == figures.speed


def test_a_changed_file_is_another_model(ledger: Path, model: Path) -> None:
    record(ledger, quality(model))
    os.utime(model, ns=(1, 1))
    assert figures_of(ledger, [model]) == {}


def test_a_file_whose_hash_is_known_is_found_where_it_went(ledger: Path, model: Path, tmp_path: Path) -> None:
    name_in_manifest(model)
    record(ledger, quality(model))
    moved = make_model(tmp_path / "elsewhere" / "renamed.gguf")
    assert figures_of(ledger, [moved]) == {}  # nobody says yet that it is the same
    name_in_manifest(moved)
    assert figures_of(ledger, [moved])[moved].speed is not None


def test_a_hash_of_another_size_is_not_believed(model: Path) -> None:
    name_in_manifest(model)
    assert identity_of(model).sha256
    model.write_bytes(b"longer than it was")
    assert identity_of(model).sha256 == ""


def test_a_reference_is_named_as_the_list_names_it(ledger: Path, model: Path, tmp_path: Path) -> None:
    source = make_model(model.with_name("source.gguf"))
    record(ledger, quality(model))
    link = tmp_path / "link"
    link.symlink_to(model.parent)
    found = figures_of(ledger, [link / model.name, link / source.name])
    assert found[link / model.name].measurements[0].reference == link / source.name


def test_the_oldest_measurements_go(ledger: Path, model: Path) -> None:
    for number in range(MAX_MEASUREMENTS + 3):
        record(ledger, quality(model, text=f"text {number}"))
    names = [one.conditions.text for one in figures_of(ledger, [model])[model].measurements]
    assert (len(names), names[0]) == (MAX_MEASUREMENTS, f"text {MAX_MEASUREMENTS + 2}")


def test_what_is_no_number_is_left_out(ledger: Path, model: Path) -> None:
    broken = dataclasses.replace(quality(model), perplexity=Estimate(math.inf, math.nan), kl_99=math.nan)
    record(ledger, broken)
    measurement = figures_of(ledger, [model])[model].measurements[0]
    assert (measurement.perplexity, measurement.kl_99) == (None, None)
    assert measurement.top_1 is not None


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"\xff", b'{"models": 7}', b"[" * 100_000, b'{"models": [7]}'])
def test_a_damaged_file_is_kept_aside(ledger: Path, model: Path, damage: bytes) -> None:
    ledger.parent.mkdir()
    ledger.write_bytes(damage)
    assert read_ledger(ledger).models == ()
    record(ledger, quality(model))
    assert model in figures_of(ledger, [model])
    assert ledger.with_name("ledger.json.damaged").read_bytes() == damage


def test_one_damaged_row_does_not_take_the_others_along(ledger: Path, model: Path) -> None:
    record(ledger, quality(model))
    data = json.loads(ledger.read_text())
    data["models"].append({**data["models"][0], "path": "/b.gguf", "speed": {"ms_per_token": "NaN"}})
    ledger.write_text(json.dumps(data))
    assert [known.path for known, _ in read_ledger(ledger).models] == [model]
    record(ledger, speed(model))
    assert ledger.with_name("ledger.json.damaged").exists()


def test_a_sound_file_is_not_kept_aside(ledger: Path, model: Path) -> None:
    record(ledger, quality(model))
    record(ledger, quality(model))
    assert not ledger.with_name("ledger.json.damaged").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, model: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(StorageError, match="could not be kept"):
        record(in_the_way / "ledger.json", quality(model))


def test_a_model_that_is_gone_is_a_sentence(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be kept"):
        record(ledger, quality(tmp_path / "gone.gguf"))
    assert not ledger.exists()


RECORDER = """
import sys
from pathlib import Path
from tests.app.measure.test_ledger import speed
from app.measure.ledger import record
ledger, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for number in range(30):
    model = folder / f"{name}-{number}.gguf"
    model.write_bytes(b"GGUF" + model.name.encode())
    record(ledger, speed(model))
"""


def test_three_programs_that_record_at_once_lose_no_row(ledger: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDER, str(ledger), str(tmp_path)]
    programs = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[3]) for name in "abc"]
    assert [program.wait(120) for program in programs] == [0, 0, 0]
    assert len(read_ledger(ledger).models) == 90
    assert not list(ledger.parent.glob("*.damaged"))
