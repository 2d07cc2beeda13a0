"""Memory of the child, the window and the system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.system import hardware
from workers import memory_sampler
from workers.memory_sampler import MemorySample, MemorySampler


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A child that holds 60 MB and waits."""
    code = "data = bytes(range(250)) * 240_000; print(len(data), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.communicate()


def test_a_sample(qapp: object, process: subprocess.Popen[bytes]) -> None:
    sample = MemorySampler(lambda: process.pid).sample()
    assert 60_000_000 < sample.child_bytes < 120_000_000
    assert 10_000_000 < sample.window_bytes < sample.total_bytes
    assert 0 < sample.available_bytes < sample.total_bytes


def test_a_job_is_counted_and_the_engine_not_twice(qapp: object, process: subprocess.Popen[bytes]) -> None:
    assert 60_000_000 < MemorySampler(lambda: None, job_pids=lambda: [process.pid]).sample().jobs_bytes < 120_000_000
    assert MemorySampler(lambda: process.pid, job_pids=lambda: [process.pid]).sample().jobs_bytes == 0
    process.kill()
    process.wait()
    assert MemorySampler(lambda: None, job_pids=lambda: [process.pid]).sample().jobs_bytes == 0


def test_the_child_comes_and_goes(qapp: object, process: subprocess.Popen[bytes]) -> None:
    pid: int | None = None
    memory = MemorySampler(lambda: pid)
    assert memory.sample().child_bytes == 0
    pid = process.pid
    assert memory.sample().child_bytes > 0
    process.kill()
    process.wait()
    assert memory.sample().child_bytes == 0
    pid = None
    assert (memory.sample().child_bytes, memory.sample().child_cpu_percent) == (0, 0.0)


def test_the_control_groups_limit_is_the_truth(qapp: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_sampler, "available_memory_bytes", lambda: 5)
    monkeypatch.setattr(memory_sampler, "total_memory_bytes", lambda: 7)
    sample = MemorySampler(lambda: None).sample()
    assert (sample.total_bytes, sample.available_bytes) == (7, 5)
    assert hardware.total_memory_bytes() > 7


def test_it_samples_while_it_is_started(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_sampler, "INTERVAL_MS", 1)
    samples: list[MemorySample] = []
    memory = MemorySampler(lambda: None)
    memory.sampled.connect(samples.append)
    memory.start()
    assert len(samples) == 1
    qtbot.waitUntil(lambda: len(samples) >= 3)
    memory.stop()
    assert not memory._timer.isActive()
