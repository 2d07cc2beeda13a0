"""The window: rail, top bar, bars for what concerns the model, the pages, the performance panel, the global keys.

It puts together what it is given and renders states; the services are made in `ui.program`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QProgressBar,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.engine.messages import TooLarge
from app.units import grouped, percent
from ui.errors import BarArea, ErrorBar, MessageBar, NoticeBar
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.models.models_model import ModelsModel
from ui.widgets.scrolled import stay_around
from ui.window.job_notices import ask_to_quit
from ui.window.performance_panel import PerformancePanel
from ui.window.top_bar import TopBar
from ui.words import _done, job_share, job_words, progress_words
from workers.current_model import CurrentModel, smaller_context
from workers.downloads import DownloadState, DownloadStatus
from workers.engine.client import EngineState
from workers.jobs import FINAL_JOB_STATES, JobState, JobStatus
from workers.memory_sampler import MemorySample
from workers.protocol import Failure

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine
    from workers.settings_store import SettingsStore, WindowStateStore


# The strip at the bottom of the window: downloads and heavy jobs that run, wait, are paused or have failed.


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


SMALLEST = (900, 600)
USUAL = (1280, 800)
_TITLE_BAR = 40


class MainWindow(QMainWindow):
    """Pages are added once, in the order of the rail, and made when they are first wanted."""

    closed = Signal()
    """The window is hidden and the program may end."""

    def __init__(
        self,
        engine: ChatEngine,
        settings: SettingsStore,
        state: WindowStateStore,
        models: ModelsModel,
        current: CurrentModel,
    ) -> None:
        super().__init__()
        self._engine, self._settings, self._state, self._current = engine, settings, state, current
        self._models = models
        self.quit_question: Callable[[], str] = lambda: ""
        """What the user should know before the window is closed now; "" where there is nothing."""
        self.setWindowTitle("Bantam")
        self.setMinimumSize(*SMALLEST)
        self.resize(usual_size(self.screen().availableSize()))
        self.rail = Rail()
        self.pages = QStackedWidget()
        self._makers: list[Callable[[], QWidget] | None] = []
        self.top = TopBar(engine, models, settings.current)
        self.error, self.notice, self.too_large = ErrorBar(), NoticeBar(), TooLargeBar()
        self.strip = DownloadStrip()
        self.panel = PerformancePanel(engine, settings.current.target_ms_per_token)
        self._lay_out()
        self._connect()
        self._add_keys()
        self._on_settings_changed()
        self._show_panel()

    def add_page(self, word: str, icon: str, make: Callable[[], QWidget], *, at_foot: bool = False) -> None:
        """One more page at the end of the rail, or at its foot. `make` is called when the page is first wanted."""
        number = self.pages.addWidget(QWidget())
        self._makers.append(make)
        self.rail.add(word, icon, at_foot=at_foot)
        self._key(f"Ctrl+{number + 1}", lambda: self.show_page(number))
        if number == 0:
            self.rail.choose(0)

    def page(self, number: int) -> QWidget:
        """The page, made now if nobody has wanted it yet."""
        make, self._makers[number] = self._makers[number], None
        if make is not None:
            place = cast(QWidget, self.pages.widget(number))
            self.pages.insertWidget(number, make())
            self.pages.removeWidget(place)
            place.deleteLater()
        return cast(QWidget, self.pages.widget(number))

    def show_page(self, number: int) -> None:
        """Show a page and give it the focus."""
        if number < self.pages.count():
            page = self.page(number)
            self.pages.setCurrentIndex(number)
            self.rail.choose(number)
            page.setFocus()

    def show_memory(self, sample: MemorySample) -> None:
        """Connected to the sampler."""
        self.top.picker.verdict.available_bytes = sample.available_bytes + sample.child_bytes
        self.top.picker.verdict.total_bytes = sample.total_bytes
        if self.panel.isVisible():
            self.panel.show_memory(sample)

    def show_failure(self, failure: Failure) -> None:
        """Show a failure, for what belongs to no page: the engine, the except hook."""
        self.error.show_failure(failure)
        if self._engine.state is EngineState.CRASHED and self._current.request is not None:
            self.error.add_button("Load the model again", self._current.reload)

    def raise_to_front(self) -> None:
        """A second start wants this window."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def close_now(self) -> None:
        """Close the window without a question: nobody is there to answer it, or it was answered."""
        self.quit_question = lambda: ""
        self.close()

    # what happens

    def _on_settings_changed(self) -> None:
        settings = self._settings.current
        self.panel.set_target(settings.target_ms_per_token)
        self.top.picker.verdict.settings = settings

    def _on_too_large(self, question: TooLarge) -> None:
        request = self._current.request
        self.too_large.ask(question, request.context_tokens if request else 0)

    def _on_asked(self) -> None:
        self.too_large.hide()
        self.error.hide()

    def _toggle_panel(self) -> None:
        self._state.update(show_performance_panel=not self._state.current.show_performance_panel)

    def _show_panel(self) -> None:
        self.panel.setVisible(self._state.current.show_performance_panel)

    def _on_state_changed(self, state: EngineState) -> None:
        # Where there is nothing to stop, Esc belongs to what has the focus: a field, a message being edited.
        self._stop_key.setEnabled(state in (EngineState.LOADING, EngineState.GENERATING))

    def _on_stop(self) -> None:
        if self._stop_key.isEnabled():
            self._engine.stop()

    def _on_new_chat(self) -> None:
        self.show_page(0)
        self._ask_page("new_chat")

    def _on_find(self) -> None:
        for name in ("focus_search", "focus_filter"):
            self._ask_page(name)

    def _ask_page(self, name: str) -> None:
        """Pages offer what makes sense for them: `new_chat`, `focus_search`, `focus_filter`."""
        if callable(function := getattr(self.pages.currentWidget(), name, None)):
            function()

    # how it is put together

    def _connect(self) -> None:
        engine, current = self._engine, self._current
        engine.failed.connect(self.show_failure)
        engine.notice.connect(self.notice.show_notice)
        engine.too_large.connect(self._on_too_large)
        current.asked.connect(self.top.show_asked)
        current.asked.connect(lambda _path: self._on_asked())
        self.too_large.load_anyway.connect(current.load_anyway)
        self.too_large.without_draft.connect(current.load_without_draft)
        self.too_large.smaller_context_chosen.connect(current.load_with_context)
        self.rail.chosen.connect(self.show_page)
        self.top.picker.picked.connect(current.load)
        self.top.stop_requested.connect(self._on_stop)
        self.top.panel_toggled.connect(self._toggle_panel)
        self._settings.changed.connect(lambda _fields: self._on_settings_changed())
        self._state.changed.connect(lambda _fields: self._show_panel())

    def _add_keys(self) -> None:
        for keys, slot in (
            ("Ctrl+N", self._on_new_chat),
            ("Ctrl+L", self.top.picker.open),
            ("Ctrl+F", self._on_find),
            ("F9", self._toggle_panel),
            ("Ctrl+Q", self.close),
        ):
            self._key(keys, slot)
        self._stop_key = self._key("Esc", self._on_stop)
        self._on_state_changed(self._engine.state)
        self._engine.state_changed.connect(self._on_state_changed)

    def _key(self, keys: str, slot: Callable[[], object]) -> QShortcut:
        shortcut = QShortcut(QKeySequence(keys), self)
        shortcut.activated.connect(slot)
        return shortcut

    def _lay_out(self) -> None:
        middle = QVBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.top)
        middle.addWidget(_hairline(horizontal=True))
        middle.addWidget(BarArea(self.too_large, self.error, self.notice))
        middle.addWidget(self.pages, 1)
        middle.addWidget(self.strip)
        whole = QWidget()
        whole.setProperty("role", "page")
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addWidget(_hairline(horizontal=False))
        row.addLayout(middle, 1)
        row.addWidget(_hairline(horizontal=False))
        row.addWidget(self.panel)
        self.setCentralWidget(whole)

    # Qt overrides

    def focusNextPrevChild(self, forward: bool) -> bool:
        return stay_around(self) or super().focusNextPrevChild(forward)

    def closeEvent(self, event: QCloseEvent) -> None:
        if question := self.quit_question():
            event.ignore()
            self.raise_to_front()
            ask_to_quit(self, question, self.close_now)
            return
        event.accept()
        self.hide()
        self.closed.emit()


def usual_size(screen: QSize) -> QSize:
    """How large the window is at its first start: the system does not keep one that is larger than its screen in it."""
    return QSize(*USUAL).boundedTo(screen - QSize(0, _TITLE_BAR)).expandedTo(QSize(*SMALLEST))


def _hairline(*, horizontal: bool) -> QFrame:
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedHeight(1) if horizontal else line.setFixedWidth(1)
    return line


# The question before a model that needs more than the memory that is free: the arithmetic, and the ways on.


class TooLargeBar(MessageBar):
    """Load anyway, leave out the draft, use a smaller context where one would fit, or cancel."""

    load_anyway = Signal()
    without_draft = Signal()
    smaller_context_chosen = Signal(int)
    """context in tokens"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("warning", "triangle-alert", parent)

    def ask(self, question: TooLarge, asked_context_tokens: int) -> None:
        """Show the question for a load that asked for this context."""
        tokens = smaller_context(question, asked_context_tokens)
        hint = "Close other programs, take a smaller model, or load it nonetheless: the machine may become very slow."
        self.say(question.sentence, hint)
        if tokens:
            text = f"Use a smaller context ({grouped(tokens)} tokens)"
            self.add_button(text, lambda: self.smaller_context_chosen.emit(tokens), role="primary")
        if question.need.draft_bytes:
            self.add_button("Load without the draft", self.without_draft.emit, role="" if tokens else "primary")
        self.add_button("Load anyway", self.load_anyway.emit)
        self.add_button("Cancel", self.dismiss, closes=False)


# The rail on the left: one button a page, icon and word; at its foot what is seldom wanted.


_WIDTH = 80
_BUTTON = QSize(72, 56)


class Rail(QWidget):
    """Exactly one button is checked. Ctrl+1, Ctrl+2, … are the window's."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Pages")
        self.setFixedWidth(_WIDTH)
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(4, 8, 4, 8)
        self._column.setSpacing(4)
        self._column.addStretch()

    def add(self, word: str, icon: str, *, at_foot: bool = False) -> None:
        """One more page, under the others or at the foot of the rail."""
        button = QToolButton()
        number = len(self._group.buttons())
        button.setProperty("role", "rail")
        button.setText(word)
        button.setToolTip(f"{word} (Ctrl+{number + 1})")
        button.setAccessibleName(word)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setCheckable(True)
        button.setFixedSize(_BUTTON)
        set_icon(button, icon, size=20)
        self._group.addButton(button, number)
        place = self._column.count() if at_foot else number
        self._column.insertWidget(place, button, 0, Qt.AlignmentFlag.AlignHCenter)

    def choose(self, number: int) -> None:
        """Check a button without announcing it."""
        self._group.button(number).setChecked(True)
