"""Cores used by others, from readings that are given."""

from __future__ import annotations

from collections import namedtuple

import pytest

from app.engine import threads

Times = namedtuple("Times", "user nice system idle iowait guest")
Own = namedtuple("Own", "user system")


class System:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.user, self.system, self.idle, self.own = 100.0, 50.0, 10.0, 500.0, 5.0
        monkeypatch.setattr(threads.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(
            threads.psutil, "cpu_times", lambda: Times(self.user, 0.0, self.system, self.idle, self.idle, 7.0)
        )
        monkeypatch.setattr(threads.os, "times", lambda: Own(self.own, 0.0))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


def test_what_this_process_uses_does_not_count(system: System) -> None:
    busy_cores = threads.BusyNeighbours()
    system.now += 1
    system.user += 3
    system.own += 2
    system.idle += 5
    assert busy_cores() == pytest.approx(1.0)


def test_between_readings_the_last_answer_stands(system: System) -> None:
    busy_cores = threads.BusyNeighbours()
    system.now += 0.1
    system.user += 5
    assert busy_cores() == 0.0
    system.now += 0.9
    assert busy_cores() == pytest.approx(5.0)
    system.now += 0.1
    system.user += 5
    assert busy_cores() == pytest.approx(5.0)


def test_rounding_never_makes_it_negative(system: System) -> None:
    busy_cores = threads.BusyNeighbours()
    system.now += 1
    system.own += 1
    assert busy_cores() == 0.0


def test_what_was_busy_while_nothing_was_asked_is_forgotten(system: System) -> None:
    busy_cores = threads.BusyNeighbours()
    system.now += 60
    system.user += 120
    assert busy_cores() == 0.0
    system.now += 1
    system.user += 2
    assert busy_cores() == pytest.approx(2.0)
