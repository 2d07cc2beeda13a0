"""A file that exists while a model is loaded and first decoded: who finds it later knows what the process died of."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.engine.messages import ModelLoaded
from app.operation import Stage
from app.system.files import read_json, write_atomic
from app.system.process_outcome import ProcessOutcome


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


# A death in the first decode: how it is recognised, and what the user is told about the way out of it.


def died_in_warm_up(outcome: ProcessOutcome, marker: LoadingMarker | None, pid: int | None) -> bool:
    """Died of its machine code in the first decode after a load with the fast kernels.

    AMX kernels of some llama.cpp builds do that, and kernels built for another processor. `marker` counts only when
    the child with this `pid` wrote it.
    """
    if not outcome.is_native_fault or marker is None or marker.pid != pid:
        return False
    return marker.stage is Stage.WARM_UP and not marker.safe_mode


def died_in_first_answer(outcome: ProcessOutcome, model: ModelLoaded | None, has_answered: bool) -> bool:
    """The same death, only later: in the first prompt, before its first token."""
    return outcome.is_native_fault and not has_answered and model is not None and not model.safe_mode


def safe_mode_notice(outcome: ProcessOutcome, *, remembered: bool = True) -> str:
    """The one line about the reload: for good after a death in the warm-up, else until the model is next loaded."""
    if not remembered:
        return (
            f"The engine crashed before its first word ({outcome.signal_name}). "
            "The model is loaded again in safe mode, a little slower, until it is next loaded."
        )
    return (
        f"The fast kernels do not work on this processor ({outcome.signal_name}). "
        "The model is loaded again in safe mode, a little slower; this is remembered."
    )
