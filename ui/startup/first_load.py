"""Which model to load at the start. One that the last run died of is not loaded again: the user is told and asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from PySide6.QtGui import QGuiApplication

from app.diagnostics.last_run import BadEnd, End
from app.engine.loading_marker import LoadingMarker, read_marker
from app.operation import Stage
from app.recipe.recipe import BegunRecipe, forget
from app.settings import WindowState
from app.system.paths import Paths
from ui.errors import NoticeBar


@dataclass(frozen=True, slots=True)
class Start:
    """`load` now, `notice` to the user, and `suspect`, which the user may load in spite of it."""

    load: Path | None = None
    notice: str = ""
    suspect: Path | None = None


def decide(state: WindowState, marker: LoadingMarker | None, starter: Path) -> Start:
    """The model that was loaded last, else the starter; nothing where `marker` tells of a death."""
    if marker is not None:
        return Start(notice=_words(marker), suspect=marker.path)
    last = Path(state.last_model) if state.last_model else starter
    if last.is_file():
        return Start(load=last)
    fallback = starter if starter.is_file() else None
    if fallback is not None and last.name == starter.name:
        return Start(fallback)  # that of a bundle which was moved, or replaced by a newer one in another folder
    if not state.last_model:
        return Start(notice="The model that comes with Bantam is not there. Add a .gguf file.")
    instead = " The model that comes with Bantam is loaded instead." if fallback else ""
    return Start(fallback, f"{last.name}, which was loaded last, is not there: {last.parent}.{instead}")


def stale_marker(paths: Paths) -> LoadingMarker | None:
    """The marker a death left behind; None where the process that wrote it still lives, such as a terminal's."""
    marker = read_marker(paths.loading_marker)
    return None if marker is None or psutil.pid_exists(marker.pid) else marker


def forget_marker(paths: Paths) -> None:
    """Remove the marker after an end in order, or when the user has been told. The marker of a living process stays."""
    marker = read_marker(paths.loading_marker)
    if marker is None or not psutil.pid_exists(marker.pid):
        paths.loading_marker.unlink(missing_ok=True)


def _words(marker: LoadingMarker) -> str:
    doing = "warming up" if marker.stage is Stage.WARM_UP else "loading"
    return (
        f"The last time, Bantam or the computer went down while {doing} {marker.path.name}. "
        "It was not loaded again, so that it cannot happen twice."
    )


# What a start has to say of the last one, in one bar: a crash with its report, a model that is not loaded again.


def tell(
    notice: NoticeBar,
    sentences: Sequence[str],
    start: Start,
    bad_end: BadEnd | None,
    paths: Paths,
    load_anyway: Callable[[Path], object],
    begun: BegunRecipe | None = None,
    go_on: Callable[[BegunRecipe], object] = lambda _begun: None,
) -> Callable[[], None]:
    """Show all of it at once. Where a model is suspected, its sentence stands for that of the end.

    `begun` is a recipe that the last run did not see the end of: told at each start until the user has answered.
    Returns what takes it out of the bar again, for a page that tells of it itself.
    """

    def show(recipe: BegunRecipe | None) -> None:
        suspect = start.suspect
        end = bad_end.sentence if bad_end is not None and suspect is None else ""
        told = (*sentences, start.notice, end, recipe.sentence if recipe is not None else "")
        if not any(told):
            return
        notice.say(" ".join(sentence for sentence in told if sentence))
        if bad_end is not None and bad_end.end is End.CRASHED:
            notice.add_button("Copy report", lambda: copy_report(notice, paths, bad_end), closes=False)
        if recipe is not None:
            notice.add_button("Go on", lambda: go_on(recipe), role="primary")
            notice.when_dismissed(lambda: forget(paths))
        if suspect is not None:
            notice.add_button("Load it anyway", lambda: load_anyway(suspect))

    show(begun)
    words = notice.sentence

    def leave_out_recipe() -> None:
        if begun is not None and notice.sentence == words:  # it may say something else by now, or nothing
            notice.hide()
            show(None)

    return leave_out_recipe


def copy_report(notice: NoticeBar, paths: Paths, bad_end: BadEnd) -> None:
    """The report on the clipboard, and in the bar what is in it."""
    from app.diagnostics.report import crash_report

    QGuiApplication.clipboard().setText(crash_report(paths, bad_end))
    notice.show_notice("The report is on the clipboard. It says where Bantam failed, and holds nothing you wrote.")
