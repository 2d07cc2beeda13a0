"""What stands under a message: why it ended, its statistics, and the buttons that act on it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from ui.look.icons import set_icon

ACTIONS_HEIGHT = 28


@dataclass(frozen=True, slots=True)
class Action:
    """A button: its name, icon and words."""

    name: str
    icon: str
    words: str


COPY = Action("copy", "copy", "Copy message")
REGENERATE = Action("regenerate", "refresh-cw", "Answer again")
EDIT = Action("edit", "pencil", "Edit and send again")
GUESSED = Action("guessed", "highlighter", "Show what the draft guessed")
BRANCH = Action("branch", "git-branch", "New chat from here")


class MessageActions(QWidget):
    """The row of buttons. Room for it is always kept; it is seen when the message has the pointer or the focus."""

    triggered = Signal(str)
    """The name of an action."""
    sibling_wanted = Signal(int)
    """-1 the version before, 1 the next one."""

    def __init__(self, actions: tuple[Action, ...], at_end: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)
        if at_end:
            self._row.addStretch()
        self._siblings = self._make_siblings()
        self._hidden: frozenset[str] = frozenset()
        self._buttons = {action.name: self._add(action) for action in actions}
        if not at_end:
            self._row.addStretch()

    def button(self, name: str) -> QToolButton:
        """The button of an action, or "previous" and "next"."""
        return self._buttons[name]

    def set_sibling(self, number: int, count: int) -> None:
        """Show "2/3" where there is more than one version of the message."""
        self._siblings.setVisible(count > 1)
        self._count.setText(f"{number}/{count}")
        self._count.setAccessibleName(f"Version {number} of {count}")
        self._previous.setEnabled(number > 1)
        self._next.setEnabled(number < count)

    def set_enabled(self, enabled: bool) -> None:
        """Everything but copying waits while an answer is written."""
        for name, button in self._buttons.items():
            button.setEnabled(enabled or name == COPY.name)
        self._siblings.setEnabled(enabled)

    @property
    def has_siblings(self) -> bool:
        return not self._siblings.isHidden()

    def hide_actions(self, names: frozenset[str]) -> None:
        """Those that make no sense for this message."""
        self._hidden = names

    def set_quiet(self, quiet: bool) -> None:
        """Out of sight but in place, so that nothing moves; the versions of a message always show."""
        for name, button in self._buttons.items():
            policy = button.sizePolicy()
            policy.setRetainSizeWhenHidden(name not in self._hidden)
            button.setSizePolicy(policy)
            button.setVisible(not quiet and name not in self._hidden)

    def _make_siblings(self) -> QWidget:
        box = QWidget(self)
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 4, 0)
        row.setSpacing(0)
        self._previous = _button("chevron-left", "Version before")
        self._next = _button("chevron-right", "Next version")
        self._count = QLabel()
        self._count.setProperty("role", "caption")
        self._previous.clicked.connect(lambda: self.sibling_wanted.emit(-1))
        self._next.clicked.connect(lambda: self.sibling_wanted.emit(1))
        for widget in (self._previous, self._count, self._next):
            row.addWidget(widget)
        box.hide()
        self._row.addWidget(box)
        return box

    def _add(self, action: Action) -> QToolButton:
        button = _button(action.icon, action.words)
        button.clicked.connect(lambda: self.triggered.emit(action.name))
        self._row.addWidget(button)
        return button


class MessageNote(QWidget):
    """A line in the transcript that says what happened, with "Try again" where that helps."""

    try_again = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._icon = QLabel()
        self._label = QLabel()
        self._label.setWordWrap(True)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._again = QPushButton("Try again")
        self._again.clicked.connect(self.try_again)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(10)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._label, 1)
        row.addWidget(self._again, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    @property
    def text(self) -> str:
        """What it says; "" while there is nothing to say."""
        return "" if self.isHidden() else self._label.text()

    @property
    def again_button(self) -> QPushButton:
        return self._again

    def say(self, tone: str, text: str, again: bool) -> None:
        """Show `text` in the tone "danger", "warning" or "notice"; "" hides the note."""
        icon = {"danger": "circle-x", "warning": "triangle-alert"}.get(tone, "info")
        set_icon(self._icon, icon, {"notice": "accent"}.get(tone, tone))
        if self.property("tone") != tone:
            self.setProperty("tone", tone)
            self.style().unpolish(self)
            self.style().polish(self)
        self._label.setText(text)
        self.setAccessibleName(text)
        self._again.setVisible(again)
        self.setVisible(bool(text))

    def arrange(self, width: int) -> int:
        """The height it takes at `width`."""
        return max(self.layout().totalHeightForWidth(width), 36)


def _button(icon: str, words: str) -> QToolButton:
    button = QToolButton()
    button.setProperty("role", "icon")
    set_icon(button, icon, "text_secondary", 15)
    button.setToolTip(words)
    button.setAccessibleName(words)
    return button
