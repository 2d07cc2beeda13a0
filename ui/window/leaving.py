"""The question before the program ends in the middle of a job that takes a while, and what it says becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QMessageBox, QWidget

from app.drafts.messages import MakeDraft
from app.measure.messages import MeasureQuality
from app.quantize.messages import Quantize
from workers.jobs import JobStatus

QUIT, STAY = "Quit", "Stay"
_LONG = (Quantize, MakeDraft, MeasureQuality)
"""Minutes to hours, and none of them is begun again by itself. A download goes on at the next start: no need to ask."""


def quit_question(jobs: Sequence[JobStatus]) -> str:
    """What an end of the program means for the jobs that run or wait; "" where that is nothing to think about."""
    if any(status.job.stages for status in jobs):
        return "A recipe is running. What it has finished is kept, and the next start offers to go on with it."
    long = [status.job.title for status in jobs if any(isinstance(one, _LONG) for one in status.job.requests)]
    return f"“{long[0]}” has not ended. Quitting cancels it." if long else ""


def ask_to_quit(window: QWidget, question: str, quit_now: Callable[[], object]) -> QMessageBox:
    """Ask over the window, without holding up what runs; at most one question stands there."""
    box = window.findChild(QMessageBox, "leaving") or _box(window, quit_now)
    box.setText(question)
    box.open()
    return box


def _box(window: QWidget, quit_now: Callable[[], object]) -> QMessageBox:
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Bantam", "", QMessageBox.StandardButton.NoButton, window)
    box.setObjectName("leaving")
    box.addButton(QUIT, QMessageBox.ButtonRole.AcceptRole).clicked.connect(quit_now)
    stay = box.addButton(STAY, QMessageBox.ButtonRole.RejectRole)
    box.setEscapeButton(stay)
    box.setDefaultButton(stay)
    return box
