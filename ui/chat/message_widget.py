"""One message of the transcript. It draws what its row says, in slices of time, and hands out what the user wants."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QGuiApplication, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from app.chat.conversation import MessageState
from ui.chat import message_row
from ui.chat import words as chat_words
from ui.chat.code_view import RequestLexer
from ui.chat.message_body import GuessedView, MessageBody
from ui.chat.message_row import MessageRow, Note, Parts
from ui.chat.prose_view import PlainView
from ui.chat.reasoning_view import ReasoningView
from ui.look.icons import set_icon
from ui.look.theme import color, tokens

# What stands under a message: why it ended, its statistics, and the buttons that act on it.


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
        return {"previous": self._previous, "next": self._next, **self._buttons}[name]

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


KEYS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
_GAP = 8
_BUBBLE_PADDING_X = 14
_BUBBLE_PADDING_Y = 9
_BUBBLE_SHARE = 0.85


class MessageWidget(QWidget):
    """Base of both kinds: focus, buttons, notes. `arrange` places everything and says how tall that is."""

    triggered = Signal(str)
    """Name of an action."""
    sibling_wanted = Signal(int)
    """The id of another version of the message."""
    try_again = Signal()
    address_clicked = Signal(str)
    focus_changed = Signal(bool, bool)
    """Whether it has the focus, and whether it came by a key."""
    step_wanted = Signal(int)
    """-1 to the message before, 1 to the next."""
    resized = Signal()
    """Its height is another one now."""

    ACTIONS: tuple[Action, ...] = ()
    ACTIONS_AT_END = False

    def __init__(self, row: MessageRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = row
        self._actions: MessageActions | None = None
        self._note: MessageNote | None = None
        self._left_out: MessageNote | None = None
        self._labels: dict[str, QLabel] = {}
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def buttons(self) -> MessageActions:
        """The buttons, made when they are first needed: most messages are only ever scrolled past."""
        if self._actions is None:
            self._actions = MessageActions(self.ACTIONS, self.ACTIONS_AT_END, self)
            self._actions.triggered.connect(self._on_triggered)
            self._actions.sibling_wanted.connect(self._on_sibling)
            self._show_actions_state()
            self._actions.show()
            self._place_actions()
        return self._actions

    @property
    def note(self) -> str:
        """What the note under the message says."""
        return self._note.text if self._note is not None else ""

    @property
    def left_out(self) -> str:
        """The line that says what the model did not see."""
        return self._left_out.text if self._left_out is not None else ""

    def refresh(self) -> None:
        """Show what the row says now."""
        if len(self.row.message.sibling_ids) > 1 or self._actions is not None:
            self._show_actions_state()
        self._set_note(self.row.note)
        who = f"Answer from {self.row.message.model_name or 'the model'}" if self.row.is_answer else "You"
        self.setAccessibleName(f"{who}: {self.row.text}")

    def work(self, deadline: float) -> bool:
        """Render until `deadline` (perf_counter seconds); True when nothing is left."""
        return True

    def arrange(self, width: int) -> int:
        """Place the parts for `width`; the height they take."""
        raise NotImplementedError

    def press_copy(self) -> None:
        """Copy the message as it was written, without the reasoning."""
        QGuiApplication.clipboard().setText(message_row.split(self.row.text).answer or self.row.text)

    def _show_actions_state(self) -> None:
        actions = self.buttons
        actions.set_sibling(self.row.message.sibling_number, max(1, len(self.row.message.sibling_ids)))
        actions.set_enabled(self.row.actions_enabled)
        actions.hide_actions(frozenset() if self.row.pieces else frozenset({GUESSED.name}))
        actions.set_quiet(not self._is_pointed_at())

    def _is_pointed_at(self) -> bool:
        focus = self.window().focusWidget()
        return self.underMouse() or (focus is not None and (focus is self or self.isAncestorOf(focus)))

    def _on_triggered(self, name: str) -> None:
        if name == COPY.name:
            self.press_copy()
        else:
            self.triggered.emit(name)

    def _on_sibling(self, step: int) -> None:
        ids = self.row.message.sibling_ids
        index = ids.index(self.row.message.id) + step
        if 0 <= index < len(ids):
            self.sibling_wanted.emit(ids[index])

    def _set_note(self, note: Note | None) -> None:
        if note is None and self._note is None:
            return
        if self._note is None:
            self._note = MessageNote(self)
            self._note.try_again.connect(self.try_again)
        if note is None:
            self._note.say("notice", "", again=False)
        else:
            self._note.say(note.tone, note.text, note.again)

    def _set_label(self, name: str, text: str, role: str = "caption") -> None:
        label = self._labels.get(name)
        if label is None:
            if not text:
                return
            label = self._labels[name] = QLabel(self)
            label.setProperty("role", role)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        if label.text() != text:
            label.setText(text)
        label.setVisible(bool(text))

    def _place_label(self, name: str, y: int, width: int) -> int:
        """Put a line at `y`; where what follows begins."""
        label = self._labels.get(name)
        if label is None or label.isHidden():
            return y
        height = max(label.heightForWidth(width), label.sizeHint().height() if not label.wordWrap() else 0)
        label.setGeometry(0, y, width, height)
        return y + height

    def _place_note(self, y: int, width: int) -> int:
        if self._note is None or self._note.isHidden():
            return y
        height = self._note.arrange(width)
        self._note.setGeometry(0, y + _GAP, width, height)
        return y + _GAP + height

    def _place_actions(self) -> None:
        if self._actions is not None:
            offset = 0 if self.ACTIONS_AT_END else -5
            self._actions.setGeometry(offset, self.height() - ACTIONS_HEIGHT, self.width() - offset, ACTIONS_HEIGHT)

    def enterEvent(self, event: QEvent) -> None:
        """The pointer brings the buttons."""
        self._show_actions_state()

    def leaveEvent(self, event: QEvent) -> None:
        """And takes them away again."""
        self._show_actions_state()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The keyboard brings them too."""
        self._show_actions_state()
        self.focus_changed.emit(True, event.reason() in KEYS)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Gone when the focus has left the message and its buttons."""
        self._show_actions_state()
        self.focus_changed.emit(False, False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+C copies the message, Up and Down go to its neighbours."""
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if event.matches(QKeySequence.StandardKey.Copy):
            self.press_copy()
        elif step is not None and not event.modifiers():
            self.step_wanted.emit(step)
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QEvent) -> None:
        """The buttons stay at the bottom."""
        self._place_actions()


class UserMessage(MessageWidget):
    """What the user wrote, as typed, in a bubble at the right."""

    ACTIONS = (COPY, EDIT, BRANCH)
    ACTIONS_AT_END = True

    def __init__(self, row: MessageRow, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(row, parent)
        self._text = PlainView(row.message.content, self)
        self._bubble = QRectF()
        self.refresh()

    def arrange(self, width: int) -> int:
        room = int(width * _BUBBLE_SHARE) - 2 * _BUBBLE_PADDING_X
        self._text.arrange(room)
        text_width = min(room, self._text.text_width() + 1)
        height = self._text.arrange(text_width)
        left = width - text_width - _BUBBLE_PADDING_X
        self._text.setGeometry(left, _BUBBLE_PADDING_Y, text_width, height)
        self._bubble = QRectF(left - _BUBBLE_PADDING_X, 0, text_width + 2 * _BUBBLE_PADDING_X, height)
        self._bubble.setHeight(height + 2 * _BUBBLE_PADDING_Y)
        return self._place_note(int(self._bubble.height()), width) + ACTIONS_HEIGHT

    def paintEvent(self, event: QPaintEvent) -> None:
        """The bubble."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("raised"))
        painter.drawRoundedRect(self._bubble, tokens().radius * 2, tokens().radius * 2)


class AnswerMessage(MessageWidget):
    """What the model wrote: model, what was left out, reasoning, answer, how it ended, statistics."""

    ACTIONS = (COPY, REGENERATE, BRANCH, GUESSED)

    def __init__(self, row: MessageRow, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(row, parent)
        self._request_lexer = request_lexer
        self._reasoning: ReasoningView | None = None
        self._guessed: GuessedView | None = None
        self._live = False
        self.body = MessageBody(request_lexer, self)
        self.body.address_clicked.connect(self.address_clicked)
        self._shown: str | None = None
        self.refresh()

    @property
    def reasoning(self) -> ReasoningView | None:
        """The folded reasoning, where there is any."""
        return self._reasoning

    def refresh(self) -> None:
        super().refresh()
        row, message = self.row, self.row.message
        self._set_label("model", message.model_name)
        self._show_left_out()
        self._set_label("progress", row.progress if row.is_live else "", "secondary")
        parts = message_row.split(row.text, live=row.is_live)
        if row.is_live:
            row.watch_reasoning(parts)
        self._show_reasoning(parts)
        self._show_text(parts.answer)
        lines = "" if row.is_live or message.statistics is None else chat_words.statistics_line(message.statistics)
        self._set_label("statistics", lines)
        if row.note is None and not row.is_live and message.state is not MessageState.STREAMING:
            end = chat_words.end_line(message)
            self._set_note(
                Note("notice", end, again=row.is_interrupted and message.statistics is None) if end else None
            )

    def work(self, deadline: float) -> bool:
        done = self.body.work(deadline)
        return (self._reasoning is None or self._reasoning.work(deadline)) and done

    def arrange(self, width: int) -> int:
        y = self._place_label("model", 0, width)
        y += 4 if y else 0
        if self._left_out is not None and not self._left_out.isHidden():
            height = self._left_out.arrange(width)
            self._left_out.setGeometry(0, y, width, height)
            y += height + _GAP
        if self._reasoning is not None and not self._reasoning.isHidden():
            height = self._reasoning.arrange(width)
            self._reasoning.setGeometry(0, y, width, height)
            y += height + _GAP
        height = self.body.arrange(width)
        self.body.setGeometry(0, y, width, height)
        y = self._place_label("progress", y + height, width)
        y = self._place_note(y, width)
        y = self._place_label("statistics", y + _GAP, width)
        return y + ACTIONS_HEIGHT

    def _on_triggered(self, name: str) -> None:
        statistics = self.row.message.statistics
        if name != GUESSED.name or statistics is None:
            super()._on_triggered(name)
            return
        if self._guessed is None:
            self._guessed = GuessedView(self)
        self._guessed.show_pieces(self.row.pieces, statistics.new_tokens, statistics.draft_tokens)
        self._guessed.open_over(self.parentWidget() or self)

    def _show_left_out(self) -> None:
        """Said when it happens, and again from the statistics when the chat is opened later."""
        statistics = self.row.message.statistics
        stored = 0 if statistics is None else statistics.left_out_messages
        words = self.row.left_out or chat_words.left_out_line(stored, 0)
        if words and self._left_out is None:
            self._left_out = MessageNote(self)
        if self._left_out is not None:
            self._left_out.say("warning", words, again=False)

    def _show_text(self, answer: str) -> None:
        if self.row.is_live:
            fed = self.body.fed_text
            if not answer.startswith(fed) or not self._live:
                self.body.restart()
                fed = ""
            self._live = True
            if answer != fed:
                self.body.feed(answer[len(fed) :])
        elif self._live:
            self._live = False
            self.body.set_text(answer)
        elif answer != self._shown:
            self.body.set_text(answer)
        self._shown = answer

    def _show_reasoning(self, parts: Parts) -> None:
        if parts.reasoning is None and (parts.closed or not self.row.is_live):
            if self._reasoning is not None:
                self._reasoning.hide()
            return
        if self._reasoning is None:
            self._reasoning = ReasoningView(self._request_lexer, self)
            self._reasoning.changed.connect(self._on_reasoning_changed)
        running = self.row.is_live and not parts.closed
        elapsed, estimated = self.row.reasoning_time(parts)
        self._reasoning.set_reasoning(parts.reasoning or "", running, elapsed, estimated)
        self._reasoning.set_open(self.row.reasoning_open)
        self._reasoning.show()

    def _on_reasoning_changed(self) -> None:
        if self._reasoning is not None:
            self.row.reasoning_open = self._reasoning.is_open
        self.resized.emit()
