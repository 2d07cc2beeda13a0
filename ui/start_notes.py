"""What a start has to say of the last one, in one bar: a crash with its report, a model that is not loaded again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtGui import QGuiApplication

from app.last_run import BadEnd, End
from app.paths import Paths
from ui.errors import NoticeBar
from ui.start import Start


def tell(
    notice: NoticeBar,
    sentences: Sequence[str],
    start: Start,
    bad_end: BadEnd | None,
    paths: Paths,
    load_anyway: Callable[[Path], object],
) -> None:
    """Show all of it at once. Where a model is suspected, its sentence stands for that of the end."""
    suspect = start.suspect
    end = bad_end.sentence if bad_end is not None and suspect is None else ""
    told = " ".join(sentence for sentence in (*sentences, start.notice, end) if sentence)
    if not told:
        return
    notice.say(told)
    if bad_end is not None and bad_end.end is End.CRASHED:
        notice.add_button("Copy report", lambda: copy_report(notice, paths, bad_end), closes=False)
    if suspect is not None:
        notice.add_button("Load it anyway", lambda: load_anyway(suspect))


def copy_report(notice: NoticeBar, paths: Paths, bad_end: BadEnd) -> None:
    """The report on the clipboard, and in the bar what is in it."""
    from app.diagnostics import crash_report

    QGuiApplication.clipboard().setText(crash_report(paths, bad_end))
    notice.show_notice("The report is on the clipboard. It says where Bantam failed, and holds nothing you wrote.")
