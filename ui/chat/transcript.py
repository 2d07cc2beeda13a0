"""The messages of a conversation. Only those in or near sight have widgets; they are made in slices of a few ms, and
whatever changes its height, what the user reads stays where it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate, pairwise
from time import perf_counter

import shiboken6
from PySide6.QtCore import QEvent, QObject, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QPushButton, QWidget

from app.chat.conversation import StoredMessage
from ui.chat.code_view import RequestLexer
from ui.chat.message_row import MessageRow, Note
from ui.chat.message_widget import KEYS, AnswerMessage, MessageWidget, UserMessage
from ui.look.icons import set_icon
from ui.look.theme import color, tokens

COLUMN = 760
MARGIN = 24
GAP = 8
SLICE_S = 0.004
"""Work in one turn of the event loop ends after this, at the next place where it can."""
TICK_MS = 50
"""An answer that is being written is drawn at most so often."""
_NEAR_BOTTOM = 40
_LINE_STEP = 40


class Transcript(QAbstractScrollArea):
    """Shows rows. `edit_wanted` and the like carry the id of the message."""

    regenerate_wanted = Signal(int)
    edit_wanted = Signal(int)
    branch_wanted = Signal(int)
    sibling_wanted = Signal(int)
    """The id of the version to show."""
    try_again_wanted = Signal(int)
    address_clicked = Signal(str)

    def __init__(self, request_lexer: RequestLexer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[MessageRow] = []
        self._request_lexer = request_lexer
        self._tokens = tokens()
        self._offsets: list[int] = [0]
        self._follows = True
        self._placing = False
        self._focus = TranscriptFocus(self.viewport(), self._bring_into_sight, self._neighbour, self)
        self._dirty: set[int] = set()
        self._working: set[int] = set()
        self._tick_after_ms = TICK_MS
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Messages")
        self.verticalScrollBar().setSingleStep(_LINE_STEP)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self._work_timer = self._timer(0, self._work)
        self._tick_timer = self._timer(TICK_MS, self._tick)
        self.jump = JumpButton(self.viewport())
        self.jump.clicked.connect(self.jump_to_latest)

    def show_messages(self, messages: tuple[StoredMessage, ...], keep_place: bool = False) -> None:
        """Show a conversation, from its end; with `keep_place` rows whose message is still there stay as they are."""
        old = {row.message.id: row for row in self.rows} if keep_place else {}
        kept = {message.id for message in messages} & old.keys()
        for row in self.rows:
            if row.message.id not in kept:
                self._release(row)
        self.rows = [self._row_for(message, old) for message in messages]
        self._dirty.clear()
        if not keep_place:
            self._follows = True
        self._arrange()

    def update_message(self, message: StoredMessage) -> None:
        """The message as it is stored now; an answer that was live is finished."""
        self._change(message.id, message=message, live_text=None, progress="")

    def stream(self, message_id: int, text: str) -> None:
        """The text so far of an answer that is being written; drawn at the next tick."""
        row = self.row(message_id)
        if row is None:
            return
        row.live_text = text
        self._dirty.add(message_id)
        if not self._tick_timer.isActive():
            self._tick_timer.start(self._tick_after_ms)

    def set_progress(self, message_id: int, text: str) -> None:
        """What a live answer waits for: "" once it does not."""
        self._change(message_id, progress=text)

    def set_note(self, message_id: int, note: Note | None) -> None:
        """A line at the message that says what happened."""
        self._change(message_id, note=note)

    def set_left_out(self, message_id: int, text: str) -> None:
        """The line that says which messages the model did not see."""
        self._change(message_id, left_out=text)

    def set_actions_enabled(self, enabled: bool) -> None:
        """Whether messages can be edited, answered again and so on."""
        for row in self.rows:
            row.actions_enabled = enabled
            if row.widget is not None:
                row.widget.refresh()

    def row(self, message_id: int) -> MessageRow | None:
        """The row of a message of this conversation."""
        return next((row for row in reversed(self.rows) if row.message.id == message_id), None)

    @property
    def is_settled(self) -> bool:
        """Nothing is left to be made, rendered or coloured."""
        return not self._work_timer.isActive() and not self._tick_timer.isActive()

    def jump_to_latest(self) -> None:
        """Go to the end and stay there."""
        self._follows = True
        self._arrange()

    def take_theme(self) -> None:
        """Make everything again in the colours that are in force now."""
        for row in self.rows:
            self._release(row)
        self._arrange()

    # Where things are

    def _row_for(self, message: StoredMessage, old: dict[int, MessageRow]) -> MessageRow:
        row = old.get(message.id)
        if row is None:
            row = MessageRow(message)
            row.estimate(self._column_width())
        elif row.message != message and not row.is_live:
            row.message = message
            self._refresh(row)
        return row

    def _change(self, message_id: int, **changes: object) -> None:
        row = self.row(message_id)
        if row is None:
            return
        for name, value in changes.items():
            setattr(row, name, value)
        self._refresh(row)
        self._arrange()

    def _refresh(self, row: MessageRow) -> None:
        if row.widget is not None:
            row.widget.refresh()
            self._working.add(row.message.id)
            self._measure(row)

    def _column_width(self) -> int:
        return max(160, min(COLUMN, self.viewport().width() - 2 * MARGIN))

    def _measure(self, row: MessageRow) -> None:
        assert row.widget is not None
        height = row.widget.arrange(self._column_width())
        if row.message.id in self._working and not row.is_live:
            # Half rendered: what was known or guessed keeps the place of what the user reads.
            row.height = max(row.height, height)
        else:
            row.height, row.measured = height, True

    def _arrange(self) -> None:
        """Put rows where their heights say, with what the user reads in its place, and see to what is missing."""
        if self._placing:
            return
        self._placing = True
        anchor = self._anchor()
        self._offsets = [MARGIN, *accumulate((row.height + GAP for row in self.rows), initial=MARGIN)][1:]
        bar, page = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(page)
        bar.setRange(0, max(0, self._offsets[-1] - GAP + MARGIN - page))
        bar.setEnabled(bar.maximum() > 0)  # without a handle then
        self._return_to(anchor)
        self._place()
        self._placing = False
        self._work_timer.start(0)

    def _anchor(self) -> tuple[int, int] | None:
        """The first message in sight and how far its top is above the viewport's; None to follow the end."""
        if self._follows or len(self._offsets) < 2:
            return None
        top = self.verticalScrollBar().value()
        index = min(max(0, bisect_right(self._offsets, top) - 1), len(self.rows) - 1)
        return self.rows[index].message.id if index >= 0 else 0, top - self._offsets[max(index, 0)]

    def _return_to(self, anchor: tuple[int, int] | None) -> None:
        bar = self.verticalScrollBar()
        if anchor is None:
            bar.setValue(bar.maximum())
            return
        index = next((i for i, row in enumerate(self.rows) if row.message.id == anchor[0]), None)
        if index is not None:
            bar.setValue(self._offsets[index] + anchor[1])

    def _place(self) -> None:
        """Move the widgets to their rows. Only what has one costs anything."""
        top, width = self.verticalScrollBar().value(), self._column_width()
        left = (self.viewport().width() - width) // 2
        for row, offset in zip(self.rows, self._offsets, strict=False):
            if row.widget is not None:
                row.widget.setGeometry(left, offset - top, width, row.height)
        self.jump.place(not self._follows and bool(self.rows))

    # Making widgets

    def _wanted(self) -> list[MessageRow]:
        """The rows in sight and a page around, those in sight and the newest first."""
        page, top = self.viewport().height(), self.verticalScrollBar().value()
        first = max(0, bisect_right(self._offsets, top - page) - 1)
        last = bisect_right(self._offsets, top + 2 * page)
        indices = range(first, min(last, len(self.rows)))
        in_sight = [i for i in indices if self._offsets[i] < top + page and self._offsets[i + 1] > top]
        around = sorted(set(indices) - set(in_sight), key=lambda i: min(abs(i - j) for j in in_sight or [i]))
        return [self.rows[i] for i in (*reversed(in_sight), *around)]

    def _work(self) -> None:
        """One slice: make a missing widget, go on rendering, forget what is far away."""
        deadline = perf_counter() + SLICE_S
        wanted = self._wanted()
        changed = busy = False
        for row in wanted:
            if perf_counter() >= deadline:
                busy = True
                break
            changed |= self._work_on(row, deadline)
            busy |= row.message.id in self._working
        if changed:
            self._arrange()
        elif busy:
            self._work_timer.start(0)
        else:
            self._work_timer.stop()
            self._forget_far(wanted)
            self._focus.chain([row.widget for row in self.rows if row.widget is not None])

    def _work_on(self, row: MessageRow, deadline: float) -> bool:
        """True when the height of the row may have changed."""
        made = row.widget is None
        if made:
            self._make(row)
        if row.message.id not in self._working:
            return made
        assert row.widget is not None
        if row.widget.work(deadline):
            self._working.discard(row.message.id)
        before = row.height
        self._measure(row)
        return made or row.height != before

    def _make(self, row: MessageRow) -> None:
        kind = AnswerMessage if row.is_answer else UserMessage
        widget = kind(row, self._request_lexer, self.viewport())
        row.widget = widget
        self._connect(widget, row)
        self._working.add(row.message.id)
        self._measure(row)
        widget.show()
        self.jump.raise_()

    def _connect(self, widget: MessageWidget, row: MessageRow) -> None:
        id_ = row.message.id
        signals = {
            "regenerate": self.regenerate_wanted,
            "edit": self.edit_wanted,
            "branch": self.branch_wanted,
        }
        widget.triggered.connect(lambda name: signals[name].emit(id_))
        widget.sibling_wanted.connect(self.sibling_wanted)
        widget.try_again.connect(lambda: self.try_again_wanted.emit(id_))
        widget.address_clicked.connect(self.address_clicked)
        widget.resized.connect(lambda: self._on_resized(row))
        self._focus.watch(widget)

    def _forget_far(self, wanted: list[MessageRow]) -> None:
        """Widgets far away go, but not one that is written to or has the focus."""
        near = {row.message.id for row in wanted}
        focus = QApplication.focusWidget()
        for row in self.rows:
            widget = row.widget
            if widget is None or row.message.id in near or row.is_live:
                continue
            if focus is None or not (focus is widget or widget.isAncestorOf(focus)):
                self._release(row)

    def _release(self, row: MessageRow) -> None:
        if row.widget is not None:
            row.widget.hide()
            row.widget.deleteLater()
            self._focus.forget(row.widget)
            row.widget = None
            self._working.discard(row.message.id)

    # Events

    def _tick(self) -> None:
        """Draw what came since the last tick. A slow tick makes the next ones rarer: the window stays free."""
        started = perf_counter()
        for id_ in self._dirty:
            row = self.row(id_)
            if row is not None:
                self._refresh(row) if row.widget is not None else row.estimate(self._column_width())
        self._dirty.clear()
        self._arrange()
        self._tick_after_ms = max(TICK_MS, int((perf_counter() - started) * 8000))

    def _on_resized(self, row: MessageRow) -> None:
        self._follows = False
        self._working.add(row.message.id)
        self._measure(row)
        self._arrange()
        self._note_place()

    def _note_place(self) -> None:
        bar = self.verticalScrollBar()
        self._follows = bar.value() >= bar.maximum() - _NEAR_BOTTOM
        self._place()

    def _on_scrolled(self) -> None:
        """The user scrolls: the place is theirs from now on, until they come back to the end."""
        if not self._placing:
            self._note_place()
            self._work_timer.start(0)

    def _timer(self, interval: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=interval)
        timer.timeout.connect(slot)
        return timer

    def _neighbour(self, widget: QWidget, step: int) -> QWidget | None:
        """The widget of the message a step away, made if need be."""
        index = next((i for i, row in enumerate(self.rows) if row.widget is widget), None)
        if index is None or not 0 <= index + step < len(self.rows):
            return None
        row = self.rows[index + step]
        if row.widget is None:
            self._make(row)
            self._arrange()
        return row.widget

    def _bring_into_sight(self, widget: QWidget) -> None:
        bar, page = self.verticalScrollBar(), self.viewport().height()
        if widget.y() < 0 or widget.height() > page:
            bar.setValue(bar.value() + widget.y() - MARGIN)
        elif widget.geometry().bottom() > page:
            bar.setValue(bar.value() + widget.geometry().bottom() - page + MARGIN)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Focus by keyboard goes to the last message."""
        super().focusInEvent(event)
        if event.reason() in KEYS and self.rows:
            last = self.rows[-1].widget
            if last is not None:
                last.setFocus(event.reason())

    def paintEvent(self, event: QPaintEvent) -> None:
        """The ring around the message that has the keyboard."""
        self._focus.paint(QPainter(self.viewport()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A new width: what has a widget is measured again, the rest is guessed."""
        self._placing = True
        if event.size().width() != event.oldSize().width():
            for row in self.rows:
                row.measured = False
                if row.widget is not None:
                    self._measure(row)
                else:
                    row.estimate(self._column_width())
        self._placing = False
        self._arrange()

    def changeEvent(self, event: QEvent) -> None:
        """Another theme: everything is made again in its colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and tokens() is not self._tokens:
            self._tokens = tokens()
            QTimer.singleShot(0, self, self.take_theme)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """The widgets are moved one by one in `_place`."""


# Floats over the end of the transcript while the user reads further up.


_ABOVE_EDGE = 44


class JumpButton(QPushButton):
    """Goes to the latest message."""

    def __init__(self, viewport: QWidget) -> None:
        super().__init__(" Jump to latest", viewport)
        set_icon(self, "arrow-down", size=14)
        self.setAccessibleName("Jump to the latest message")
        self.adjustSize()
        self.hide()

    def place(self, visible: bool) -> None:
        """Show or hide it, at the bottom in the middle."""
        viewport = self.parentWidget()
        self.setVisible(visible)
        self.move((viewport.width() - self.width()) // 2, viewport.height() - _ABOVE_EDGE)


# The keyboard in the transcript: Tab and the arrows go from message to message, the one that has it wears a ring.


_RING_X, _RING_Y = 12, 6


class TranscriptFocus(QObject):
    """Watches the message widgets. `bring` scrolls one into sight, `neighbour` gives the one a step away."""

    def __init__(
        self,
        viewport: QWidget,
        bring: Callable[[QWidget], None],
        neighbour: Callable[[QWidget, int], QWidget | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewport, self._bring, self._neighbour = viewport, bring, neighbour
        self._ringed: QWidget | None = None

    def watch(self, widget: MessageWidget) -> None:
        """A new message widget. By signals: an event filter would still be called while the widget is destroyed."""
        widget.focus_changed.connect(lambda has, by_key: self._on_focus(widget, has and by_key))
        widget.step_wanted.connect(lambda step: self._on_step(widget, step))

    def forget(self, widget: QWidget) -> None:
        """A message widget that goes."""
        if self._ringed is widget:
            self._ringed = None

    def chain(self, widgets: list[QWidget]) -> None:
        """Tab goes through the messages in the order they are read."""
        for before, after in pairwise(widgets):
            QWidget.setTabOrder(before, after)

    def paint(self, painter: QPainter) -> None:
        """The ring, on the viewport."""
        if self._ringed is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("accent"), 2))
        around = QRectF(self._ringed.geometry()).adjusted(-_RING_X, -_RING_Y, _RING_X, 0)
        painter.drawRoundedRect(around, tokens().radius, tokens().radius)

    def _on_focus(self, widget: MessageWidget, ringed: bool) -> None:
        if not shiboken6.isValid(self._viewport):
            return  # the window is going, and the focus with it
        self._ringed = widget if ringed else None
        if ringed:
            self._bring(widget)
        self._viewport.update()

    def _on_step(self, widget: MessageWidget, step: int) -> None:
        neighbour = self._neighbour(widget, step)
        if neighbour is not None:
            neighbour.setFocus(Qt.FocusReason.TabFocusReason)
