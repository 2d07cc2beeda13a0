"""The measurement of this machine, with models so small that it is quick: that it is right is for the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine import machine_record, machine_speed
from app.engine.machine_speed import TYPES, measure_machine
from app.engine.messages import MeasureMachine, ThreadCounts
from app.errors import Cancelled
from app.operation import Context, Event, Progress
from app.system.paths import Paths


@pytest.fixture
def paths(bantam_home: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr(machine_speed, "_MODEL_BYTES", 4_000_000)
    monkeypatch.setattr(machine_speed, "_SAMPLES", 4)
    monkeypatch.setattr(machine_speed, "_DEPTH_TOKENS", 256)
    return Paths(bantam_home).ensure()


def test_every_type_is_measured_with_progress(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[Event] = []
    speed = measure_machine(MeasureMachine(), Context(paths=paths, report=told.append))
    assert [one.type for one in speed.types] == list(TYPES)
    assert all(one.bytes_per_second > 1e8 for one in speed.types)
    assert speed.kv_bytes_per_second > 0
    assert [event.done for event in told if isinstance(event, Progress)] == list(range(len(TYPES) + 3))
    assert not list(tmp_path.glob("bantam-speed-*"))


def test_threads_are_those_of_a_chat_with_a_large_model(paths: Paths) -> None:
    machine_record.remember_thread_counts(paths.machine, machine_record.size_class(10_000_000), ThreadCounts(7, 7))
    assert machine_speed._decode_threads(paths, lambda count: -count) != 7  # small models say nothing of large ones
    machine_record.remember_thread_counts(paths.machine, machine_record.size_class(2_000_000_000), ThreadCounts(5, 6))
    assert machine_speed._decode_threads(paths, lambda count: count) == 5


def test_a_stop_leaves_no_file(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        measure_machine(MeasureMachine(), Context(paths=paths, stop=lambda: next(asked) > 30))
    assert not list(tmp_path.glob("bantam-speed-*"))
