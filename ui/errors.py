"""Where failures meet the eye: bars at the place where it happened, and the hook for what nobody caught.

An AppError is shown in its own words; anything else is a bug of Bantam's, shown with "Copy details".
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.errors import AppError
from ui.look.icons import set_icon
from workers.protocol import Failure

_log = logging.getLogger(__name__)


def failure_of(error: BaseException) -> Failure:
    """The failure to show for an exception: its own sentence, or for a bug what is known of it."""
    if isinstance(error, AppError):
        return Failure(error.sentence, error.hint)
    details = "".join(traceback.format_exception(error))
    return Failure(
        f"Something went wrong in Bantam itself: {type(error).__name__}: {error}",
        "You can go on working. The details help to mend it.",
        details,
    )


class ExceptHook(QObject):
    """`sys.excepthook` for the window: what a slot raised is logged and announced, and the window goes on."""

    caught = Signal(Failure)
    """Failure"""

    def install(self) -> None:
        sys.excepthook = self._on_exception

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        _log.error("not caught", exc_info=(kind, error, trace))
        self.caught.emit(failure_of(error))


class MessageBar(QWidget):
    """One bar: icon, sentence, hint, buttons, dismiss. Hidden until there is something to say."""

    dismissed = Signal()
    """The user closed the bar, or its time was over; not: one of its buttons was pressed."""

    def __init__(self, tone: str, icon: str, parent: QWidget | None = None, *, inline: bool = False) -> None:
        """`inline` puts the buttons beside the sentence: for one short sentence and one button."""
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setProperty("tone", tone)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._sentence = _wrapped_label()
        self._hint = _wrapped_label("secondary")
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(8)
        self._on_dismiss: Callable[[], object] | None = None
        self._clock = QTimer(self, singleShot=True)
        self._clock.timeout.connect(self.dismiss)
        self._lay_out(tone, icon, inline)
        self.hide()

    @property
    def sentence(self) -> str:
        """What the bar says now; "" while it is hidden."""
        return self._sentence.text() if not self.isHidden() else ""

    @property
    def hint(self) -> str:
        return self._hint.text()

    def say(self, sentence: str, hint: str = "") -> None:
        """Show the bar with these words and no buttons but dismiss; a screen reader is told."""
        self._clock.stop()
        self._on_dismiss = None
        self._clear_buttons()
        self._sentence.setText(sentence)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.setAccessibleName(f"{sentence} {hint}".strip())
        self.show()
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def add_button(self, text: str, on_click: Callable[[], object], *, role: str = "", closes: bool = True) -> None:
        """A button under the sentence. `closes` hides the bar before `on_click` is called."""
        button = QPushButton(text)
        if role:
            button.setProperty("role", role)
        button.clicked.connect(lambda: self._press(on_click, closes))
        self._buttons.insertWidget(self._buttons.count() - 1, button)

    def when_dismissed(self, then: Callable[[], object]) -> None:
        """Call this if the user closes the bar while it says what it says now, and presses none of its buttons."""
        self._on_dismiss = then

    def buttons(self) -> dict[str, QPushButton]:
        """The buttons by their text."""
        items = (self._buttons.itemAt(index).widget() for index in range(self._buttons.count()))
        return {button.text(): button for button in items if isinstance(button, QPushButton)}

    def dismiss(self) -> None:
        """Hide the bar."""
        self._clock.stop()
        self.hide()
        then, self._on_dismiss = self._on_dismiss, None
        if then is not None:
            then()
        self.dismissed.emit()

    def _press(self, on_click: Callable[[], object], closes: bool) -> None:
        if closes:
            self._clock.stop()
            self._on_dismiss = None
            self.hide()
        on_click()

    def _lay_out(self, tone: str, icon: str, inline: bool) -> None:
        sign = QLabel()
        set_icon(sign, icon, {"notice": "accent"}.get(tone, tone))
        close = QToolButton()
        set_icon(close, "x", size=16)
        close.setToolTip("Dismiss")
        close.setAccessibleName("Dismiss this message")
        close.clicked.connect(self.dismiss)
        self._buttons.addStretch()
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(self._sentence)
        texts.addWidget(self._hint)
        if not inline:
            texts.addSpacing(4)
            texts.addLayout(self._buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 8, 10)
        row.setSpacing(10)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignVCenter if inline else Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        if inline:
            row.addLayout(self._buttons)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter if inline else Qt.AlignmentFlag.AlignTop)

    def _clear_buttons(self) -> None:
        while self._buttons.count() > 1:
            item = self._buttons.takeAt(0)
            if (button := item.widget()) is not None:
                button.hide()
                button.deleteLater()


class ErrorBar(MessageBar):
    """What failed, what to do, and for a bug the details to copy."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("danger", "circle-x", parent)

    def show_failure(self, failure: Failure) -> None:
        self.say(failure.sentence, failure.hint)
        if failure.details:
            self.add_button("Copy details", lambda: copy_details(failure), closes=False)


class NoticeBar(MessageBar):
    """One line the user should read though nothing failed, with at most one thing to do. May go by itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("notice", "info", parent, inline=True)

    def show_notice(
        self, sentence: str, action: str = "", on_action: Callable[[], object] | None = None, *, stay_ms: int = 0
    ) -> None:
        """`stay_ms` 0 stays until it is dismissed."""
        self.say(sentence)
        if action and on_action is not None:
            self.add_button(action, on_action)
        if stay_ms:
            self._clock.start(stay_ms)


def copy_details(failure: Failure) -> None:
    """Put all that is known of a failure on the clipboard."""
    parts = (failure.sentence, failure.hint, failure.details)
    QGuiApplication.clipboard().setText("\n\n".join(part for part in parts if part))


def _wrapped_label(role: str = "") -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)  # sentences carry file names and models' words
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    if role:
        label.setProperty("role", role)
    return label


@dataclass(frozen=True, slots=True)
class WindowBars:
    """The bars above all pages, for what belongs to none of them."""

    notice: NoticeBar
    error: ErrorBar
    show_failure: Callable[[Failure], None]


# Where a page's bars stand: takes room, margins included, only while one of them is shown.


_SHOWN_OR_HIDDEN = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)


class BarArea(QWidget):
    """Holds bars one under the other, indented like the page's own text."""

    def __init__(self, *bars: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars = bars
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 8, 24, 8)
        column.setSpacing(8)
        for bar in bars:
            column.addWidget(bar)
            bar.installEventFilter(self)
        self._fit()

    def _fit(self) -> None:
        self.setVisible(any(not bar.isHidden() for bar in self._bars))

    # Qt overrides

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in _SHOWN_OR_HIDDEN:
            self._fit()
        return super().eventFilter(watched, event)
