"""Where the user writes: a field that grows to eight lines, Send or Stop, the context meter, a line of status."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QEvent, QMimeData, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.chat.conversation import StoredMessage
from app.chat.store import load_unsent, save_unsent
from ui.chat.transcript import COLUMN, MARGIN
from ui.chat.words import context_line
from ui.look.icons import set_icon
from ui.look.theme import color, text_font, tokens
from ui.widgets.elided_label import wrap_mode

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage


MAX_LINES = 8
NEARLY_FULL = 0.85


class Mode(StrEnum):
    """What the button does."""

    SEND = "send"
    STOP = "stop"
    STOPPING = "stopping"


class ComposerField(QPlainTextEdit):
    """Enter sends, Shift+Enter is a new line, Up in the empty field edits the last message."""

    send_pressed = Signal()
    up_pressed = Signal()
    escape_pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "code")  # the frame around it is drawn by the composer
        self.takes_escape = False
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # lines are wrapped
        self.setPlaceholderText("Write a message")
        self.setAccessibleName("Message")
        self.setAccessibleDescription("Enter sends, Shift+Enter starts a new line, Up edits your last message")
        self.document().setDocumentMargin(2)
        self.textChanged.connect(self.fit)
        self.fit()

    def fit(self) -> None:
        """Make it as tall as the text, from one line to eight; scrolls beyond."""
        self.setWordWrapMode(wrap_mode(self.toPlainText()))
        lines = sum(max(1, self._lines_of(i)) for i in range(min(self.blockCount(), MAX_LINES)))
        shown = min(MAX_LINES, lines)
        self.setFixedHeight(shown * QFontMetrics(self.font()).lineSpacing() + 8)
        overflow = lines > MAX_LINES or self.blockCount() > MAX_LINES
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if overflow else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(policy)

    def setPlainText(self, text: str) -> None:
        """How lines are broken is settled while neither the old text nor the new one would take long to lay out."""
        self.setWordWrapMode(wrap_mode(self.toPlainText() + text))
        super().setPlainText(text)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """The same for what is pasted."""
        self.setWordWrapMode(wrap_mode(self.toPlainText() + source.text()))
        super().insertFromMimeData(source)

    def _lines_of(self, number: int) -> int:
        block = self.document().findBlockByNumber(number)
        self.document().documentLayout().blockBoundingRect(block)  # lays the block out
        return block.layout().lineCount()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width breaks the lines elsewhere."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.fit()

    def event(self, event: QEvent) -> bool:
        """Esc is the window's key for Stop, unless it has a use here."""
        override = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride
        if override and self.takes_escape and cast(QKeyEvent, event).key() == Qt.Key.Key_Escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys named above; the rest is the field's own."""
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not shift:
            self.send_pressed.emit()
        elif event.key() == Qt.Key.Key_Up and not self.toPlainText():
            self.up_pressed.emit()
        elif event.key() == Qt.Key.Key_Escape and self.takes_escape:
            self.escape_pressed.emit()
        else:
            super().keyPressEvent(event)


class Composer(QWidget):
    """Holds the text until it is known to be saved: `send_wanted` does not empty the field, `clear` does."""

    send_wanted = Signal(str)
    stop_wanted = Signal()
    edit_last_wanted = Signal()
    edit_cancelled = Signal()
    text_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = Mode.SEND
        self.field = ComposerField()
        self.button = QToolButton()
        self.meter = QLabel()
        self.status = QLabel()
        self._edit_bar = QWidget()
        self.cancel_edit = QPushButton("Cancel")
        self._connect()
        self._lay_out()
        self.set_mode(Mode.SEND)
        self.set_meter(None, 0)

    @property
    def text(self) -> str:
        """The text as it stands in the field."""
        return self.field.toPlainText()

    def set_text(self, text: str) -> None:
        """Put a text into the field, the cursor at its end."""
        if text != self.text:
            self.field.setPlainText(text)
        cursor = self.field.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        self.field.setTextCursor(cursor)

    def set_editing(self, editing: bool) -> None:
        """Say that sending makes a new version of an earlier message."""
        self._edit_bar.setVisible(editing)
        self.field.takes_escape = editing

    def set_mode(self, mode: Mode) -> None:
        """Send, or Stop while an answer is written."""
        self._mode = mode
        stops = mode is not Mode.SEND
        set_icon(self.button, "square" if stops else "send", "text" if stops else "accent", 18)
        words = "Stop the answer (Esc)" if stops else "Send (Enter)"
        self.button.setToolTip(words)
        self.button.setAccessibleName("Stop" if stops else "Send")
        self._refresh_button()

    def set_status(self, text: str, tone: str = "secondary") -> None:
        """A line under the field: why a message would not be answered now."""
        self.status.setText(text)
        if self.status.property("role") != tone:
            self.status.setProperty("role", tone)
            self.status.style().polish(self.status)

    def set_meter(self, tokens: int | None, context_tokens: int) -> None:
        """How full the context is with the text in the field. None keeps the room and shows a dash."""
        share = 0.0 if tokens is None or not context_tokens else tokens / context_tokens
        role = "danger" if share > 1 else "warning" if share >= NEARLY_FULL else "caption"
        words = context_line(tokens, context_tokens)
        if share > 1:
            words = f"Too long, the oldest messages will be left out: {words}"
        elif share >= NEARLY_FULL:
            words = f"Nearly full: {words}"
        self.meter.setText(words)
        self.meter.setAccessibleName(f"Context: {words}")
        if self.meter.property("role") != role:
            self.meter.setProperty("role", role)
            self.meter.style().polish(self.meter)

    def _connect(self) -> None:
        self.field.send_pressed.connect(self._on_send)
        self.field.up_pressed.connect(self.edit_last_wanted)
        self.field.escape_pressed.connect(self.edit_cancelled)
        self.field.textChanged.connect(self._on_text_changed)
        self.button.clicked.connect(self._on_button)
        self.cancel_edit.clicked.connect(self.edit_cancelled)

    def _on_send(self) -> None:
        if self.text.strip() and self._mode is Mode.SEND:
            self.send_wanted.emit(self.text)

    def _on_button(self) -> None:
        if self._mode is Mode.SEND:
            self._on_send()
        elif self._mode is Mode.STOP:
            self.stop_wanted.emit()

    def _on_text_changed(self) -> None:
        self._refresh_button()
        self.text_changed.emit()

    def _refresh_button(self) -> None:
        self.button.setEnabled(self._mode is Mode.STOP or (self._mode is Mode.SEND and bool(self.text.strip())))

    def _lay_out(self) -> None:
        words = QLabel("Editing an earlier message. Sending starts a new version of the chat from there.")
        words.setProperty("role", "secondary")
        words.setWordWrap(True)
        self.cancel_edit.setProperty("role", "quiet")
        bar = QHBoxLayout(self._edit_bar)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.addWidget(words, 1)
        bar.addWidget(self.cancel_edit)
        self._edit_bar.hide()
        self.button.setProperty("role", "icon")
        self.button.setMinimumSize(QSize(32, 32))
        field = QHBoxLayout()
        field.setContentsMargins(12, 6, 6, 6)
        field.addWidget(self.field, 1, Qt.AlignmentFlag.AlignVCenter)
        field.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        self.meter.setFont(text_font(tokens().size_caption, tabular=True))
        self.meter.setMinimumHeight(18)
        self.status.setWordWrap(True)
        self.status.setProperty("role", "secondary")
        foot.addWidget(self.status, 1)
        foot.addWidget(self.meter, 0, Qt.AlignmentFlag.AlignRight)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(MARGIN, 4, MARGIN, 10)
        self._column.setSpacing(4)
        self._column.addWidget(self._edit_bar)
        self._frame = QWidget()
        self._frame.setLayout(field)
        self._column.addWidget(self._frame)
        self._column.addLayout(foot)
        self.field.installEventFilter(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The same column as the messages."""
        bar = self.field.verticalScrollBar().sizeHint().width()
        side = max(MARGIN, (self.width() - bar - COLUMN) // 2)
        self._column.setContentsMargins(side, 4, side + bar, 10)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The frame shows the focus of the field."""
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The frame around field and button."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.field.hasFocus()
        pen = painter.pen()
        pen.setColor(color("accent" if focused else "outline"))
        pen.setWidthF(2 if focused else 1)
        painter.setPen(pen)
        painter.setBrush(color("page"))
        painter.drawRoundedRect(
            self._frame.geometry().adjusted(1, 1, -1, -1), tokens().radius * 1.5, tokens().radius * 1.5
        )


# An earlier message in the composer: what was there before comes back when the edit is left.


class MessageEditing:
    """`message` is the one that is edited, None most of the time."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._draft = ""
        self.message: StoredMessage | None = None

    @property
    def unsent(self) -> str:
        """What is typed and not sent: while a message is edited, what was there before."""
        return self._composer.text if self.message is None else self._draft

    def begin(self, message: StoredMessage) -> None:
        """Put the message into the composer."""
        if self.message is None:
            self._draft = self._composer.text
        self.message = message
        self._composer.set_editing(True)
        self._composer.set_text(message.content)
        self._composer.field.setFocus()

    def end(self) -> None:
        """Back to the draft, if something was edited."""
        if self.message is not None:
            self.message = None
            self._composer.set_editing(False)
            self._composer.set_text(self._draft)

    def sent(self) -> None:
        """The new version is stored: what was there before has its place again, unless more was typed."""
        if self.message is not None:
            self.message = None
            self._composer.set_editing(False)
            if not self._composer.text:
                self._composer.set_text(self._draft)


# What is typed and not sent, kept for each conversation: in memory at once, on the disk within a second.


SAVE_AFTER_MS = 1000
"""A time, counted from the first key that is not saved. Typing on does not put it off: a text that takes minutes is
not lost whole.
"""


class Unsent(QObject):
    """Texts by conversation id; "" is the new conversation, which is not stored before its first message."""

    failed = Signal(str, str)
    """Sentence, hint: told once until a save succeeds again."""

    def __init__(
        self, storage: ChatStorage, composer: Composer, editing: MessageEditing, shown: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:  # fmt: skip
        """`shown` gives the id of the conversation whose field `composer` is."""
        super().__init__(parent)
        self._storage, self._composer, self._editing, self._shown = storage, composer, editing, shown
        self._texts: dict[str, str] = {}
        self._changed = self._told = False
        self._saver = QTimer(self, interval=SAVE_AFTER_MS, singleShot=True)
        self._saver.timeout.connect(self.flush)
        composer.text_changed.connect(lambda: self._keep(shown(), editing.unsent))

    def load(self) -> None:
        """Read the texts of the last run. That the chats cannot be read is told by whoever shows them."""
        self._storage.run(load_unsent, self._on_loaded, lambda *_: None)

    def of(self, conversation_id: str) -> str:
        """The text that waits in this conversation."""
        return self._texts.get(conversation_id, "")

    def forget_sent(self, conversation_id: str, text: str) -> None:
        """It is a message now; what was typed since stays. Saved at once, so that it does not come back."""
        if conversation_id == self._shown() and self._composer.text == text:
            self._composer.set_text("")
        for id_ in (conversation_id, ""):
            if text and self.of(id_) == text:
                self._keep(id_, "")
        self.flush()

    def move(self, from_id: str, to_id: str) -> None:
        """The new conversation has an id now."""
        text = self.of(from_id)
        self._keep(from_id, "")
        self._keep(to_id, text)

    def flush(self) -> None:
        """Save now what has changed."""
        self._saver.stop()
        if self._changed:
            self._changed = False
            save = partial(save_unsent, texts=dict(self._texts))
            self._storage.run(save, self._on_saved, self._on_not_saved)

    def _keep(self, conversation_id: str, text: str) -> None:
        if text == self.of(conversation_id):
            return
        if text:
            self._texts[conversation_id] = text
        else:
            del self._texts[conversation_id]
        self._changed = True
        if not self._saver.isActive():
            self._saver.start()

    def _on_loaded(self, texts: dict[str, str]) -> None:
        """Put it into the field, unless the user was quicker."""
        self._texts = texts | self._texts
        if not self._composer.text:
            self._composer.set_text(self.of(self._shown()))

    def _on_saved(self, _: None) -> None:
        self._told = False

    def _on_not_saved(self, sentence: str, hint: str) -> None:
        self._changed = True
        if not self._told:
            self._told = True
            self.failed.emit(sentence, hint)
