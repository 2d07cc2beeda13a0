"""The chat: list, transcript, composer, and what the user does with them. Services do the work, widgets show it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QCursor, QDesktopServices, QFocusEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSplitter, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from app.chat.conversation import UNTITLED, Conversation, MessageState, StoredMessage
from app.chat.presets import BALANCED
from app.engine.messages import Message, ModelLoaded, PromptReady, Role
from ui.chat import words as chat_words
from ui.chat.code_view import LexerShelf
from ui.chat.composer import Composer, MessageEditing, Mode, Unsent
from ui.chat.conversation_list import UNDO_MS, WIDTH, ChatListPane
from ui.chat.conversations import ConversationShelf
from ui.chat.empty import ChatEmpty
from ui.chat.message_body import Piece
from ui.chat.message_row import Note
from ui.chat.sampling_panel import ChatSettingsPane
from ui.chat.transcript import Transcript
from ui.errors import ErrorBar, NoticeBar
from ui.look.icons import set_icon
from workers.answering import NO_MODEL, Answering, ContextCount
from workers.engine.client import EngineState
from workers.protocol import Failure
from workers.settings_store import WindowStateStore

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage
    from workers.engine.client import ChatEngine
    from workers.settings_store import SettingsStore
    from workers.tasks import TaskRunner


# The line over the transcript: the chat's title, its settings, and what can be done with it.


HEIGHT = 44


class ChatHeader(QWidget):
    """The list can be folded away, the sheet opened; the menu is that of the list."""

    list_toggled = Signal()
    settings_toggled = Signal(bool)
    menu_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self.title = QLabel()
        self.title.setProperty("role", "strong")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.list_button = self._button("panel-left", "Show or hide the list of chats")
        self.settings = self._button("sliders-horizontal", "System prompt and sampling of this chat", checkable=True)
        self.menu = self._button("ellipsis", "More about this chat")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(4)
        row.addWidget(self.list_button)
        row.addWidget(self.title, 1)
        row.addWidget(self.settings)
        row.addWidget(self.menu)
        self.setFixedHeight(HEIGHT)
        self.list_button.clicked.connect(self.list_toggled)
        self.settings.toggled.connect(self.settings_toggled)
        self.menu.clicked.connect(self.menu_wanted)

    def set_title(self, title: str, stored: bool) -> None:
        """`stored` chats have a menu; a new one has nothing to rename yet."""
        self._full = title
        self.title.setToolTip(title)
        self.menu.setEnabled(stored)
        self._elide()

    def _elide(self) -> None:
        room = max(40, self.width() - 140)
        self.title.setText(self.title.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideRight, room))

    def _button(self, icon: str, words: str, checkable: bool = False) -> QToolButton:
        button = QToolButton()
        button.setProperty("role", "icon")
        button.setCheckable(checkable)
        button.setToolTip(words)
        button.setAccessibleName(words)
        set_icon(button, icon, "text_secondary")
        return button

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The title gives way."""
        self._elide()


_WITHOUT_MODEL = (EngineState.EMPTY, EngineState.CRASHED)
_NEW = Conversation("", UNTITLED, preset=BALANCED.name)


class ChatPage(QWidget):
    """One conversation is open at a time; "" is a new one that is stored with its first message."""

    def __init__(
        self, engine: ChatEngine, storage: ChatStorage, settings: SettingsStore, tasks: TaskRunner,
        parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._engine, self._storage, self._settings = engine, storage, settings
        self.conversation = _NEW
        self._wanted = self._sending = ""
        self.shelf = ConversationShelf(storage, self)
        self.answering = Answering(engine, storage, self)
        self._count = ContextCount(engine, self)
        self._lexers = LexerShelf(tasks, self)
        self.list = ChatListPane(self.shelf)
        self.header, self.composer = ChatHeader(), Composer()
        self.transcript = Transcript(self._lexers.request)
        self.empty = ChatEmpty()
        self.stack = stacked(self.empty, self.transcript)
        self._editing = MessageEditing(self.composer)
        self.unsent = Unsent(storage, self.composer, self._editing, lambda: self.conversation.id, self)
        self._live = LiveAnswer(self.answering, self.transcript, lambda: self.conversation.id, self)
        self.panel = ChatSettingsPane(storage)
        self.error, self.notice = ErrorBar(), NoticeBar()
        self.panel.hide()
        middle = middle_column(self.header, self.stack, (self.error, self.notice), self.composer)
        lay_out(self, self.list, middle, self.panel)
        self.setTabOrder(self.panel.stop, self.transcript)  # last, where Qt puts the messages that are made later
        self._connect_widgets()
        self._connect_services()
        self._show(_NEW)
        self._on_state_changed(engine.state)
        QTimer.singleShot(0, self, self._begin)

    # For the window

    def new_chat(self) -> None:
        """A new conversation, not stored before its first message."""
        self._leave()
        self._show(_NEW)
        self.composer.field.setFocus()

    def focus_search(self) -> None:
        """Ctrl+F."""
        self.list.show()
        self.list.focus_search()

    def open(self, conversation_id: str) -> None:
        """Show a stored conversation; the engine is told, so that its KV cache follows."""
        if conversation_id == self.conversation.id or not conversation_id:
            return
        self._leave()
        self._wanted = conversation_id
        self._storage.run(lambda store: store.get(conversation_id), self._on_opened, self._on_storage_error)

    # Opening and leaving

    def _begin(self) -> None:
        self.shelf.refresh()
        self.panel.load_presets()
        self.unsent.load()

    def _leave(self) -> None:
        self.panel.flush()
        self._editing.end()
        self._wanted = ""

    def _on_opened(self, conversation: Conversation) -> None:
        if conversation.id == self._wanted:
            self._show(conversation)
            self._engine.open_conversation(conversation.id)

    def _show(self, conversation: Conversation, keep_place: bool = False) -> None:
        self.conversation = conversation
        self.transcript.show_messages(conversation.path, keep_place)
        live = self.answering.current
        if live is not None and live.conversation_id == conversation.id:
            self.transcript.stream(live.message.id, live.text)
        self.panel.show_conversation(conversation)
        if not keep_place:
            self.composer.set_text(self.unsent.of(conversation.id))
            self._count.forget()
        self._show_title()
        self._refresh()
        self._show_unanswered()

    def _show_unanswered(self) -> None:
        """A last message that nothing answers, perhaps because the program ended, can be answered now."""
        last = self.conversation.path[-1] if self.conversation.path else None
        if last is not None and last.role is Role.USER and self.conversation.id not in self.answering.busy:
            self.transcript.set_note(last.id, Note("notice", chat_words.UNANSWERED, again=True))

    def _show_title(self) -> None:
        self.header.set_title(self.conversation.title, bool(self.conversation.id))
        self.list.set_current(self.conversation.id)

    def _refresh(self) -> None:
        """What depends on the messages and on whether an answer is being written."""
        busy = self.conversation.id in self.answering.busy
        self.stack.setCurrentWidget(self.transcript if self.conversation.path else self.empty)
        self.composer.set_mode(Mode.STOP if busy else Mode.SEND)
        self.transcript.set_actions_enabled(not busy)
        self.shelf.model.set_busy(self.answering.busy)
        self._count_tokens(at_once=True)

    # Sending

    def _on_send(self, text: str) -> None:
        if self._engine.state in _WITHOUT_MODEL:
            self._say_no_model()
            return
        if self._sending:
            return  # Enter twice is one message
        self._sending = text
        self.error.hide()
        self.panel.flush()
        if not self.conversation.id:
            self.answering.send_first(self.conversation, text)
            return
        edited = self._editing.message
        parent = edited.parent_id if edited is not None else self.conversation.leaf_id
        self.answering.send(self.conversation.id, parent, text)

    def _on_created(self, conversation: Conversation) -> None:
        """The new chat was stored with its first message; if the user is elsewhere by now, it is only in the list."""
        self.shelf.refresh()
        if not self.conversation.id:
            self.unsent.move("", conversation.id)
            self.conversation = conversation
            self.panel.show_conversation(conversation)
            self._engine.open_conversation(conversation.id)

    def _on_message_added(self, conversation_id: str, message: StoredMessage) -> None:
        if message.role is Role.USER:
            self.shelf.refresh()
            sent, self._sending = self._sending, ""
            self.unsent.forget_sent(conversation_id, sent)
        if conversation_id != self.conversation.id:
            return
        kept = self.conversation.path_until(message.parent_id)
        self.conversation = dataclasses.replace(self.conversation, path=(*kept, message))
        if message.role is Role.USER:
            self._editing.sent()
            if not kept:
                self._reload_title()
        self.transcript.show_messages(self.conversation.path, keep_place=True)
        self.transcript.jump_to_latest()
        if message.state is MessageState.STREAMING:
            self.transcript.stream(message.id, "")
        self._refresh()

    def _reload_title(self) -> None:
        id_ = self.conversation.id

        def show(conversation: Conversation) -> None:
            if id_ == self.conversation.id:
                self.conversation = dataclasses.replace(self.conversation, title=conversation.title)
                self._show_title()

        self._storage.run(lambda store: store.get(id_), show, self._on_storage_error)

    def _on_not_saved(self, text: str, sentence: str, hint: str) -> None:
        """The field still holds the text: it is emptied only when the text is on the disk."""
        self._sending = ""
        self.error.show_failure(Failure(sentence, hint or "Your text is still here. Try to send it again."))

    def _on_finished(self, conversation_id: str, message: StoredMessage) -> None:
        self.shelf.refresh()
        if conversation_id == self.conversation.id:
            path = tuple(message if old.id == message.id else old for old in self.conversation.path)
            self.conversation = dataclasses.replace(self.conversation, path=path)
            self.transcript.update_message(message)

    # What the user does with messages

    def _on_try_again(self, message_id: int) -> None:
        message = self._message(message_id)
        if message is None:
            return
        if self._engine.state in _WITHOUT_MODEL:
            self._say_no_model()
            return
        self.transcript.set_note(message_id, None)
        question = message_id if message.role is Role.USER else message.parent_id
        if question is not None:
            self.answering.answer(self.conversation.id, question)

    def _on_edit(self, message_id: int) -> None:
        message = self._message(message_id)
        if message is None or self.conversation.id in self.answering.busy:
            return
        self._editing.begin(message)

    def _on_edit_last(self) -> None:
        last = next((m for m in reversed(self.conversation.path) if m.role is Role.USER), None)
        if last is not None:
            self._on_edit(last.id)

    def _on_branch(self, message_id: int) -> None:
        source = self.conversation

        def made(conversation: Conversation) -> None:
            self._leave()
            self._show(conversation)
            self._engine.open_conversation(conversation.id)
            self.notice.show_notice(f"This is a new chat, copied from “{source.title}”.", stay_ms=UNDO_MS)

        self.shelf.branch_off(source, message_id, made)

    def _on_sibling(self, message_id: int) -> None:
        id_ = self.conversation.id

        def show(conversation: Conversation) -> None:
            if id_ == self.conversation.id:
                self._show(conversation, keep_place=True)

        self._storage.run(lambda store: store.select_branch(id_, message_id), show, self._on_storage_error)

    def _message(self, message_id: int) -> StoredMessage | None:
        return next((m for m in self.conversation.path if m.id == message_id), None)

    def _on_address(self, address: str) -> None:
        """Nothing is opened before the user has seen where it leads."""
        self.notice.show_notice(
            f"Open {address} in the browser?", "Open", lambda: QDesktopServices.openUrl(QUrl(address))
        )

    # What the user does with conversations

    def _on_about_to_delete(self, conversation_id: str) -> None:
        self.answering.stop(conversation_id)
        if conversation_id == self.conversation.id:
            self.new_chat()

    def _on_renamed(self, conversation_id: str) -> None:
        if conversation_id == self.conversation.id:
            self._reload_title()

    def _on_menu(self) -> None:
        if self.conversation.id:
            self.list.menu_for(self.conversation.id).popup(QCursor.pos())

    def _on_settings_changed(self, conversation: Conversation) -> None:
        self.conversation = dataclasses.replace(
            self.conversation,
            system_prompt=conversation.system_prompt,
            sampling=conversation.sampling,
            preset=conversation.preset,
        )
        self._count_tokens()

    # The engine and the composer

    def _on_state_changed(self, state: EngineState) -> None:
        loading = state is EngineState.LOADING
        self.empty.show_model(self._engine.model, loading)
        self.composer.set_status(chat_words.model_line(loading, missing=state in _WITHOUT_MODEL))

    def _say_no_model(self) -> None:
        self.composer.set_status(NO_MODEL.replace("this was not answered", "nothing was sent"), "warning")

    def _count_tokens(self, at_once: bool = False) -> None:
        messages = self.conversation.messages()
        if self.composer.text.strip():
            messages += (Message(Role.USER, self.composer.text),)
        self._count.count(messages, at_once)

    def _on_storage_error(self, sentence: str, hint: str) -> None:
        self.error.show_failure(Failure(sentence, hint))

    def _on_stop(self) -> None:
        self.answering.stop(self.conversation.id)
        if self.conversation.id in self.answering.busy:
            self.composer.set_mode(Mode.STOPPING)

    def _on_model_loaded(self, model: ModelLoaded) -> None:
        self._on_state_changed(self._engine.state)
        if self.conversation.id:
            self._engine.open_conversation(self.conversation.id)

    def _on_question(self, question: str) -> None:
        self.composer.set_text(question)
        self.composer.field.setFocus()
        self._on_send(question)

    def _on_settings_toggled(self, shown: bool) -> None:
        self.panel.setVisible(shown)
        self._fit_list()

    def _fit_list(self) -> None:
        """Where there is no room for both, the list goes before the messages do; its button brings it back."""
        self.list.setVisible(self.width() >= LEAST_WITH_LIST + (self.panel.width() if self.panel.isVisible() else 0))

    # Qt overrides

    def focusInEvent(self, event: QFocusEvent) -> None:  # a focus proxy would take all but itself out of Tab's way
        self.composer.field.setFocus(event.reason())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc, where nothing in the page has another use for it, closes the chat's settings."""
        if event.key() == Qt.Key.Key_Escape and self.panel.isVisible():
            self.panel.closed.emit()
            self.composer.field.setFocus()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if event.size().width() != event.oldSize().width():
            self._fit_list()

    def _connect_widgets(self) -> None:
        transcript, composer, chats = self.transcript, self.composer, self.list
        transcript.regenerate_wanted.connect(self._on_try_again)
        transcript.try_again_wanted.connect(self._on_try_again)
        transcript.edit_wanted.connect(self._on_edit)
        transcript.branch_wanted.connect(self._on_branch)
        transcript.sibling_wanted.connect(self._on_sibling)
        transcript.address_clicked.connect(self._on_address)
        composer.send_wanted.connect(self._on_send)
        composer.stop_wanted.connect(self._on_stop)
        composer.edit_last_wanted.connect(self._on_edit_last)
        composer.edit_cancelled.connect(self._editing.end)
        composer.text_changed.connect(self._count_tokens)
        chats.new_wanted.connect(self.new_chat)
        chats.opened.connect(self.open)
        chats.about_to_delete.connect(self._on_about_to_delete)
        chats.restored.connect(self.open)
        self.empty.question_chosen.connect(self._on_question)
        self.header.menu_wanted.connect(self._on_menu)
        self.header.list_toggled.connect(lambda: self.list.setVisible(self.list.isHidden()))
        self.header.settings_toggled.connect(self._on_settings_toggled)
        self.panel.failed.connect(self._on_storage_error)
        self.panel.closed.connect(lambda: self.header.settings.setChecked(False))
        self.panel.changed.connect(self._on_settings_changed)

    def _connect_services(self) -> None:
        answering, shelf = self.answering, self.shelf
        answering.created.connect(self._on_created)
        answering.message_added.connect(self._on_message_added)
        answering.finished.connect(self._on_finished)
        answering.not_saved.connect(self._on_not_saved)
        answering.trouble.connect(self._on_storage_error)
        answering.busy_changed.connect(self._refresh)
        shelf.failed.connect(self._on_storage_error)
        self.unsent.failed.connect(self._on_storage_error)
        shelf.renamed.connect(self._on_renamed)
        shelf.exported.connect(lambda path: self.notice.show_notice(f"Exported to {path}.", stay_ms=UNDO_MS))
        self._count.changed.connect(self.composer.set_meter)
        self._engine.state_changed.connect(self._on_state_changed)
        self._engine.model_loaded.connect(self._on_model_loaded)
        self._engine.model_loaded.connect(lambda model: self.panel.suggest_for(model.parameters))


# Shows in the transcript what happens to the answers of the conversation that is open.


class LiveAnswer(QObject):
    """The link between Answering and the transcript. `open_id` tells which conversation is shown."""

    def __init__(
        self, answering: Answering, transcript: Transcript, open_id: Callable[[], str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._transcript, self._open_id = transcript, open_id
        answering.text_changed.connect(self._on_text)
        answering.waiting.connect(self._on_waiting)
        answering.prompt_ready.connect(self._on_prompt_ready)
        answering.drafted.connect(self._on_drafted)
        answering.problem.connect(self._on_problem)

    def _on_text(self, conversation_id: str, message_id: int, text: str) -> None:
        if conversation_id == self._open_id():
            self._transcript.stream(message_id, text)

    def _on_drafted(self, conversation_id: str, message_id: int, pieces: tuple[Piece, ...]) -> None:
        row = self._transcript.row(message_id) if conversation_id == self._open_id() else None
        if row is not None:
            row.pieces = pieces  # seen when `finished`, which follows, refreshes the message

    def _on_problem(self, conversation_id: str, message_id: int, sentence: str) -> None:
        if conversation_id == self._open_id():
            self._transcript.set_note(message_id, Note("danger", sentence, again=True))

    def _on_waiting(self, conversation_id: str, message_id: int, words: str) -> None:
        row = self._transcript.row(message_id) if conversation_id == self._open_id() else None
        if row is not None and row.is_answer:
            self._transcript.set_progress(message_id, words)
        elif row is not None:
            self._transcript.set_note(message_id, Note("notice", words) if words else None)

    def _on_prompt_ready(self, conversation_id: str, message_id: int, prompt: PromptReady) -> None:
        if conversation_id == self._open_id():
            words = chat_words.left_out_line(prompt.left_out_messages, prompt.context_tokens)
            self._transcript.set_left_out(message_id, words)


# Where the parts of the chat page stand: list | header, messages, composer | the chat's settings.


LEAST_WITH_LIST = 620
"""A narrower page shows the messages alone."""


def lay_out(page: QWidget, conversations: QWidget, middle: QWidget, sheet: QWidget) -> None:
    """Put the three columns into `page`; the user can move the line between the first two."""
    page.setProperty("role", "page")
    split = QSplitter(Qt.Orientation.Horizontal)
    split.setChildrenCollapsible(False)
    split.setHandleWidth(1)
    split.addWidget(conversations)
    split.addWidget(middle)
    split.setStretchFactor(0, 0)
    split.setStretchFactor(1, 1)
    split.setSizes([WIDTH, 900])
    row = QHBoxLayout(page)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    row.addWidget(split, 1)
    row.addWidget(sheet)


def middle_column(header: QWidget, messages: QWidget, bars: Sequence[QWidget], composer: QWidget) -> QWidget:
    """Header, messages, bars and composer, from the top down."""
    middle = QWidget()
    middle.setMinimumWidth(320)
    column = QVBoxLayout(middle)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(header)
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedHeight(1)
    column.addWidget(line)
    column.addWidget(messages, 1)
    between = QVBoxLayout()
    between.setContentsMargins(24, 0, 24, 0)
    between.setSpacing(8)
    for bar in bars:
        between.addWidget(bar)
    column.addLayout(between)
    column.addWidget(composer)
    return middle


def stacked(*widgets: QWidget) -> QStackedWidget:
    """One in the place of the other; the first is shown."""
    stack = QStackedWidget()
    for widget in widgets:
        stack.addWidget(widget)
    return stack


def greet(page: ChatPage, state: WindowStateStore) -> None:
    """Greet, unless it was done; whoever comes with chats from an earlier version has been greeted."""
    if state.current.greeted:
        return
    page.empty.set_greeting(True)
    chats = page.shelf.model

    def on_chats() -> None:
        if chats.rowCount() and not state.current.greeted:
            state.update(greeted=True)
            page.empty.set_greeting(False)

    chats.modelReset.connect(on_chats)
