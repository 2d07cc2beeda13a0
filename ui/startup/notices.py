"""What a start has to say of the last one, in one bar: a crash with its report, a model that is not loaded again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtGui import QGuiApplication

from app.diagnostics.last_run import BadEnd, End
from app.recipe.begun import BegunRecipe, forget
from app.system.paths import Paths
from ui.errors import NoticeBar
from ui.startup.first_load import Start


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
