"""Which model is loaded at the start, and what is said where it is not the last one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from app.engine.loading_marker import LoadingMarker
from app.operation import Stage
from app.settings import WindowState
from app.system.paths import Paths
from ui.startup.first_load import Start, decide, forget_marker, stale_marker


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    path = tmp_path / "starter.gguf"
    path.touch()
    return path


@pytest.fixture
def dead_pid() -> int:
    return next(pid for pid in range(4_000_000, 1, -1) if not psutil.pid_exists(pid))


def leave_marker(paths: Paths, pid: int) -> None:
    marker = {"pid": pid, "path": "/models/big.gguf", "stage": "load", "safe_mode": False}
    paths.loading_marker.write_text(json.dumps(marker))


def test_first_start_loads_the_starter(starter: Path) -> None:
    assert decide(WindowState(), None, starter) == Start(load=starter)


def test_last_model_is_loaded_again(starter: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.gguf"
    last.touch()
    assert decide(WindowState(last_model=str(last)), None, starter) == Start(load=last)


def test_last_model_that_is_away_is_named(starter: Path) -> None:
    start = decide(WindowState(last_model="/media/usb/last.gguf"), None, starter)
    assert start.load == starter
    assert "last.gguf" in start.notice
    assert "/media/usb" in start.notice


def test_the_starter_of_a_version_that_is_gone_is_replaced_by_ours_in_silence(starter: Path) -> None:
    """The archive of a new version is unpacked beside the old one, which is then deleted."""
    gone = f"/home/me/bantam-0.0.9/_internal/resources/starter/{starter.name}"
    assert decide(WindowState(last_model=gone), None, starter) == Start(load=starter)


def test_without_a_starter_nothing_is_loaded_and_that_is_said(tmp_path: Path) -> None:
    start = decide(WindowState(), None, tmp_path / "none.gguf")
    assert start.load is None
    assert "Add a .gguf file" in start.notice


def test_model_that_killed_the_last_run_is_not_loaded(starter: Path) -> None:
    marker = LoadingMarker(1, Path("/models/big.gguf"), Stage.WARM_UP, False)
    start = decide(WindowState(last_model="/models/big.gguf"), marker, starter)
    assert start.load is None
    assert start.suspect == Path("/models/big.gguf")
    assert "warming up big.gguf" in start.notice


def test_marker_of_a_dead_process_is_stale(paths: Paths, dead_pid: int) -> None:
    leave_marker(paths, dead_pid)
    marker = stale_marker(paths)
    assert marker is not None
    assert marker.path == Path("/models/big.gguf")
    forget_marker(paths)
    assert stale_marker(paths) is None
    assert not paths.loading_marker.exists()


def test_marker_of_a_living_process_is_its_own(paths: Paths) -> None:
    leave_marker(paths, os.getpid())
    assert stale_marker(paths) is None
    forget_marker(paths)
    assert paths.loading_marker.exists()


def test_no_marker_is_none(paths: Paths) -> None:
    assert stale_marker(paths) is None
    forget_marker(paths)
