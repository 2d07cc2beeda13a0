"""A file that exists while a model is loaded and first decoded: who finds it later knows what the process died of."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.operation import Stage
from app.system.files import read_json, write_atomic


@dataclass(frozen=True, slots=True)
class LoadingMarker:
    """The process `pid` was at `stage` (LOAD or WARM_UP) with the model at `path`."""

    pid: int
    path: Path
    stage: Stage
    safe_mode: bool


@contextmanager
def loading(marker_path: Path, model: Path, safe_mode: bool) -> Iterator[LoadingStage]:
    """Hold the marker while the body runs. An exception removes it like success does; only a death leaves it behind."""
    stage = LoadingStage(marker_path, model, safe_mode)
    stage.enter(Stage.LOAD)
    try:
        yield stage
    finally:
        marker_path.unlink(missing_ok=True)


class LoadingStage:
    """Moves the marker from one stage to the next."""

    def __init__(self, marker_path: Path, model: Path, safe_mode: bool) -> None:
        self._path = marker_path
        self._model = model
        self._safe_mode = safe_mode

    def enter(self, stage: Stage) -> None:
        """Write the marker for `stage`. Where that fails, as on a full disk, the load goes on without one."""
        data = {"pid": os.getpid(), "path": str(self._model), "stage": stage.value, "safe_mode": self._safe_mode}
        with contextlib.suppress(OSError):
            write_atomic(self._path, json.dumps(data).encode())


def read_marker(marker_path: Path) -> LoadingMarker | None:
    """The marker that a death left behind, or None. A damaged one counts as none."""
    try:
        data = read_json(marker_path)
        return LoadingMarker(int(data["pid"]), Path(data["path"]), Stage(data["stage"]), bool(data["safe_mode"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
