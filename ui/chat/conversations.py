"""What is done with whole conversations: list and search them, rename, delete and undo, export, branch off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.chat.conversation import Conversation, ConversationSummary, MessageState, StoredMessage
from app.chat.export import to_json, to_markdown
from app.chat.store import ChatStore
from app.engine.messages import Role
from app.errors import StorageError
from app.system.files import write_atomic
from ui.chat.conversations_model import PAGE, ConversationsModel

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage

SUFFIXES = {"markdown": ".md", "json": ".json"}


class ConversationShelf(QObject):
    """Keeps the item model in step with the database. Failures go to `failed`."""

    deleted = Signal(str, str)
    """Id and title of a conversation that can be brought back."""
    renamed = Signal(str)
    exported = Signal(object)
    """Path"""
    failed = Signal(str, str)
    """Sentence, hint."""

    def __init__(self, storage: ChatStorage, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._storage = storage
        self._search = ""
        self.model = ConversationsModel(self)
        self.model.more_wanted.connect(self._on_more_wanted)
        self.model.rename_wanted.connect(self.rename)

    def refresh(self) -> None:
        """Read the rows again, as many as there were."""
        search, limit = self._search, max(PAGE, self.model.rowCount())

        def show(rows: tuple[ConversationSummary, ...]) -> None:
            if search == self._search:
                self.model.set_rows(rows, grouped=not search.strip(), page=limit)

        self._run(lambda store: store.list(search, limit, 0), show)

    def search(self, text: str) -> None:
        """Show what matches; everything for blank text."""
        self._search = text
        self.refresh()

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a title; a blank one brings back that of the first message."""

        def done(_: None) -> None:
            self.refresh()
            self.renamed.emit(conversation_id)

        self._run(lambda store: store.rename(conversation_id, title), done)

    def delete(self, conversation_id: str) -> None:
        """Take it off the list; `restore` undoes that."""

        def remove(store: ChatStore) -> str:
            title = store.get(conversation_id).title
            store.delete(conversation_id)
            return title

        def done(title: str) -> None:
            self.refresh()
            self.deleted.emit(conversation_id, title)

        self._run(remove, done)

    def restore(self, conversation_id: str, on_restored: Callable[[str], None]) -> None:
        """Undo a delete."""

        def done(_: None) -> None:
            self.refresh()
            on_restored(conversation_id)

        self._run(lambda store: store.restore(conversation_id), done)

    def export(self, conversation_id: str, kind: str, path: Path) -> None:
        """Write the conversation as "markdown" or "json"."""
        self._run(lambda store: export(store, conversation_id, kind, path), self.exported.emit)

    def branch_off(self, source: Conversation, message_id: int, on_made: Callable[[Conversation], None]) -> None:
        """A new conversation with the messages up to and with `message_id`."""

        def done(conversation: Conversation) -> None:
            self.refresh()
            on_made(conversation)

        self._run(lambda store: copy_until(store, source, message_id), done)

    def _on_more_wanted(self, offset: int) -> None:
        search = self._search

        def show(rows: tuple[ConversationSummary, ...]) -> None:
            if search == self._search:
                self.model.add_page(rows)

        self._run(lambda store: store.list(search, PAGE, offset), show)

    def _run(self, function: Callable[[ChatStore], object], on_result: Callable[..., object]) -> None:
        self._storage.run(function, on_result, self.failed.emit)  # type: ignore[arg-type]


def export(store: ChatStore, conversation_id: str, kind: str, path: Path) -> Path:
    """Write a conversation to `path`. Raises StorageError where that cannot be."""
    conversation = store.get(conversation_id)
    text = to_json(conversation, store.all_messages(conversation_id)) if kind == "json" else to_markdown(conversation)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise StorageError(f"The chat could not be exported to {path}: {error.strerror or error}.") from error
    return path


def file_name(title: str, kind: str) -> str:
    """A file name for an export: the title without what file systems refuse."""
    kept = "".join(c if c.isalnum() or c in " -_()" else " " for c in title)
    return (" ".join(kept.split())[:60].strip() or "Chat") + SUFFIXES[kind]


def copy_until(store: ChatStore, source: Conversation, message_id: int) -> Conversation:
    """Copy the active branch up to `message_id` into a new conversation with the same prompt and sampling."""
    made = store.create(source.system_prompt, source.sampling, source.preset)
    parent: int | None = None
    for message in source.path:
        parent = _copy(store, made.id, parent, message)
        if message.id == message_id:
            break
    store.rename(made.id, f"{source.title} (branch)")
    return store.get(made.id)


def _copy(store: ChatStore, conversation_id: str, parent: int | None, message: StoredMessage) -> int:
    if message.role is Role.USER:
        return store.add_user_message(conversation_id, parent, message.content).id
    answer = store.begin_answer(conversation_id, parent, message.model_name)
    state = MessageState.INTERRUPTED if message.state is MessageState.STREAMING else message.state
    store.finish_answer(answer.id, message.content, message.statistics, state)
    return answer.id
