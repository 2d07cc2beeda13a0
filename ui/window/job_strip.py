"""The strip at the bottom of the window: downloads and heavy jobs that run, wait, are paused or have failed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.units import percent
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.words import _done, job_share, job_words, progress_words
from workers.downloads import DownloadState, DownloadStatus
from workers.jobs import FINAL_JOB_STATES, JobState, JobStatus

_ROW_HEIGHT = 36
_NAME_WIDTH, _LEAST_NAME = 260, 100
_BAR_WIDTH, _LEAST_BAR = 160, 40
MAX_ROWS = 4
"""More are counted in one line."""


class DownloadStrip(QWidget):
    """One row is always there, so that no button above moves away from the mouse when something begins or ends."""

    pause_requested = Signal(int)
    resume_requested = Signal(int)
    cancel_requested = Signal(int)
    job_cancel_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._rows: dict[int, _Row] = {}
        self._jobs: dict[int, _Row] = {}
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        self._idle = QLabel("No downloads and no jobs")
        self._idle.setProperty("role", "caption")
        self._idle.setContentsMargins(16, 0, 16, 0)
        self._idle.setFixedHeight(_ROW_HEIGHT)
        self._more = QLabel()
        self._more.setProperty("role", "caption")
        self._more.setContentsMargins(16, 2, 16, 6)
        self._more.hide()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(line)
        self._column.addWidget(self._idle)
        self._column.addWidget(self._more)

    @property
    def is_idle(self) -> bool:
        """Nothing runs, waits, is paused or has failed."""
        return not (self._rows or self._jobs)

    @property
    def rows(self) -> dict[int, _Row]:
        """The rows by the id of the download."""
        return self._rows

    def show_status(self, status: DownloadStatus) -> None:
        """Add or update a row."""
        row = self._rows.get(status.id)
        if row is None:
            row = self._rows[status.id] = _Row()
            row.pause.clicked.connect(lambda: self._on_pause(status.id))
            row.cancel.clicked.connect(lambda: self.cancel_requested.emit(status.id))
            self._column.insertWidget(self._column.count() - 1, row)
        row.show_status(status)
        self._fit()

    def show_job(self, status: JobStatus) -> None:
        """Add, update or take away the row of a heavy job."""
        row = self._jobs.get(status.id)
        if status.state in FINAL_JOB_STATES:
            if row is not None:
                del self._jobs[status.id]
                row.hide()
                row.deleteLater()
        else:
            if row is None:
                row = self._jobs[status.id] = _Row()
                row.pause.hide()
                row.cancel.clicked.connect(lambda: self.job_cancel_requested.emit(status.id))
                self._column.insertWidget(1, row)
            row.show_job(status)
        self._fit()

    def remove(self, download_id: int) -> None:
        """It has ended."""
        row = self._rows.pop(download_id, None)
        if row is not None:
            row.hide()
            row.deleteLater()
        self._fit()

    def _on_pause(self, download_id: int) -> None:
        row = self._rows[download_id]
        signal = self.resume_requested if row.can_resume else self.pause_requested
        signal.emit(download_id)

    def _fit(self) -> None:
        for number, row in enumerate(self._rows.values()):
            row.setVisible(number < MAX_ROWS)
        more = len(self._rows) - MAX_ROWS
        self._more.setText(f"and {more} more")
        self._more.setVisible(more > 0)
        self._idle.setVisible(self.is_idle)


class _Row(QWidget):
    """Name, bar, words, pause or go on, cancel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.can_resume = False
        self._title = self._words = ""
        self.setFixedHeight(_ROW_HEIGHT)
        self.name, self.words = QLabel(), QLabel()
        for label in (self.name, self.words):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setMinimumWidth(_LEAST_NAME)
        self.name.setMaximumWidth(_NAME_WIDTH)
        self.words.setProperty("role", "secondary")
        self.words.setFont(text_font(tabular=True))
        self.words.setMinimumWidth(120)
        for label in (self.name, self.words):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # the row gives the room
        self.bar = QProgressBar(textVisible=False)
        self.bar.setRange(0, 1000)
        self.bar.setMinimumWidth(_LEAST_BAR)
        self.bar.setMaximumWidth(_BAR_WIDTH)
        self.pause, self.cancel = QToolButton(), QToolButton()
        set_icon(self.cancel, "x", size=16)
        self.cancel.setToolTip("Cancel, and remove what has arrived")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 4, 12, 4)
        row.setSpacing(12)
        row.addWidget(self.name, 2)
        row.addWidget(self.bar, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.words, 3)
        row.addWidget(self.pause)
        row.addWidget(self.cancel)

    def show_status(self, status: DownloadStatus) -> None:
        self._title = status.plan.title
        self.name.setToolTip(f"{status.plan.title}\n{status.plan.repository}")
        self.bar.setValue(round(status.done_share * 1000))
        self.bar.setAccessibleName(f"{status.plan.title}: {percent(status.done_share)}")
        words = status_words(status)
        self._words = words
        self._elide()
        failure = status.failure
        self.words.setToolTip(f"{failure.sentence} {failure.hint}".strip() if failure else status.notice or words)
        self._set_tone("danger" if status.state is DownloadState.FAILED else "secondary")
        self._show_buttons(status)

    def show_job(self, status: JobStatus) -> None:
        progress = status.progress
        share = job_share(progress)
        self._title = status.job.title
        self.name.setToolTip(status.job.title)
        self.bar.setValue(round(share * 1000))
        self.bar.setAccessibleName(f"{status.job.title}: {percent(share)}")
        waits = "Waits for its turn" if status.state is JobState.QUEUED else "Cancelling…"
        self._words = job_words(status, share) if status.state is JobState.RUNNING else waits
        self._elide()
        self.cancel.setAccessibleName(f"Cancel: {status.job.title}")
        self.cancel.setToolTip("Cancel")
        self.cancel.setEnabled(status.state is not JobState.CANCELLING)

    def _show_buttons(self, status: DownloadStatus) -> None:
        self.can_resume = status.state in (DownloadState.PAUSED, DownloadState.FAILED)
        set_icon(self.pause, "play" if self.can_resume else "pause", size=16)
        word = ("Try again" if status.state is DownloadState.FAILED else "Go on") if self.can_resume else "Pause"
        self.pause.setToolTip(word)
        self.pause.setAccessibleName(f"{word}: {status.plan.title}")
        self.cancel.setAccessibleName(f"Cancel: {status.plan.title}")
        self.pause.setEnabled(status.state not in (DownloadState.PAUSING, DownloadState.CANCELLING))
        self.cancel.setEnabled(status.state is not DownloadState.CANCELLING)

    def _elide(self) -> None:
        for label, text, mode in (
            (self.name, self._title, Qt.TextElideMode.ElideMiddle),
            (self.words, self._words, Qt.TextElideMode.ElideRight),
        ):
            label.setText(label.fontMetrics().elidedText(text, mode, max(label.width(), 100)))

    def _set_tone(self, role: str) -> None:
        if self.words.property("role") != role:
            self.words.setProperty("role", role)
            self.words.style().polish(self.words)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()


def status_words(status: DownloadStatus) -> str:
    """ "1.2 of 5.1 GB, 11.3 MB/s, 5 min left", or why it does not go on."""
    match status.state:
        case DownloadState.QUEUED:
            return "Waits for its turn"
        case DownloadState.PAUSED | DownloadState.PAUSING:
            return f"Paused{_done(status.progress)}"
        case DownloadState.CANCELLING:
            return "Cancelling…"
        case DownloadState.FAILED:
            return status.failure.sentence if status.failure else "It failed."
        case _:
            return progress_words(status.progress)
