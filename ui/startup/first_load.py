"""Which model to load at the start. One that the last run died of is not loaded again: the user is told and asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from app.engine.loading_marker import LoadingMarker, read_marker
from app.operation import Stage
from app.settings import Settings
from app.system.paths import Paths


@dataclass(frozen=True, slots=True)
class Start:
    """`load` now, `notice` to the user, and `suspect`, which the user may load in spite of it."""

    load: Path | None = None
    notice: str = ""
    suspect: Path | None = None


def decide(settings: Settings, marker: LoadingMarker | None, starter: Path) -> Start:
    """The model that was loaded last, else the starter; nothing where `marker` tells of a death."""
    if marker is not None:
        return Start(notice=_words(marker), suspect=marker.path)
    last = Path(settings.last_model) if settings.last_model else starter
    if last.is_file():
        return Start(load=last)
    fallback = starter if starter.is_file() else None
    if fallback is not None and last.name == starter.name:
        return Start(fallback)  # that of a bundle which was moved, or replaced by a newer one in another folder
    if not settings.last_model:
        return Start(notice="The model that comes with Bantam is not there. Add a .gguf file.")
    instead = " The model that comes with Bantam is loaded instead." if fallback else ""
    return Start(fallback, f"{last.name}, which was loaded last, is not there: {last.parent}.{instead}")


def stale_marker(paths: Paths) -> LoadingMarker | None:
    """The marker a death left behind; None where the process that wrote it still lives, such as a terminal's."""
    marker = read_marker(paths.loading_marker)
    return None if marker is None or psutil.pid_exists(marker.pid) else marker


def forget_marker(paths: Paths) -> None:
    """After an end in order, or when the user has been told. The marker of a living process stays."""
    marker = read_marker(paths.loading_marker)
    if marker is None or not psutil.pid_exists(marker.pid):
        paths.loading_marker.unlink(missing_ok=True)


def _words(marker: LoadingMarker) -> str:
    doing = "warming up" if marker.stage is Stage.WARM_UP else "loading"
    return (
        f"The last time, Bantam or the computer went down while {doing} {marker.path.name}. "
        "It was not loaded again, so that it cannot happen twice."
    )
