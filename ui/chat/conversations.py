"""What is done with whole conversations: list and search them, rename, delete and undo, export, branch off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.chat.conversation import Conversation, ConversationSummary, MessageState, StoredMessage
from app.chat.export import to_json, to_markdown
from app.chat.store import ChatStore
from app.engine.messages import Role
from app.errors import StorageError
from app.system.files import write_atomic
from ui.chat.words import day_group, when

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage


SUFFIXES = {"markdown": ".md", "json": ".json"}


class ConversationShelf(QObject):
    """Keeps the item model in step with the database. Failures go to `failed`."""

    deleted = Signal(str, str)
    """Id and title of a conversation that can be brought back."""
    renamed = Signal(str)
    exported = Signal(Path)
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


# The conversations as rows, the last used first. SUMMARY_ROLE returns the row's ConversationSummary.


SUMMARY_ROLE = Qt.ItemDataRole.UserRole + 1
SECTION_ROLE = Qt.ItemDataRole.UserRole + 2
"""The heading over the row, "" where it stands under the same as the row before."""
BUSY_ROLE = Qt.ItemDataRole.UserRole + 3
"""True while an answer is being written or waits in the conversation."""
WHEN_ROLE = Qt.ItemDataRole.UserRole + 4
PAGE = 100
_Index = QModelIndex | QPersistentModelIndex


class ConversationsModel(QAbstractListModel):
    """Rows arrive a page at a time: views ask by `fetchMore`, `more_wanted` says so, `add_page` brings them."""

    more_wanted = Signal(int)
    """How many rows there are already."""
    rename_wanted = Signal(str, str)
    """Conversation id and the new title."""

    def __init__(self, parent: QObject | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(parent)
        self._clock = clock
        self._rows: list[ConversationSummary] = []
        self._busy: frozenset[str] = frozenset()
        self._more = False
        self._asked = False
        self.grouped = True

    def set_rows(self, rows: Sequence[ConversationSummary], grouped: bool = True, page: int = PAGE) -> None:
        """Show the first page. `grouped` puts day headings over the rows; search results have none."""
        new = list(rows)
        same = [row.id for row in new] == [row.id for row in self._rows] and grouped == self.grouped
        self._more, self._asked = len(new) >= page, False
        if same:
            self._rows = new
            if new:
                self.dataChanged.emit(self.index(0), self.index(len(new) - 1))
            return
        self.beginResetModel()
        self._rows, self.grouped = new, grouped
        self.endResetModel()

    def add_page(self, rows: Sequence[ConversationSummary], page: int = PAGE) -> None:
        """More rows at the end; fewer than a page are the last."""
        self._more, self._asked = len(rows) >= page, False
        known = {row.id for row in self._rows}
        new = [row for row in rows if row.id not in known]
        if new:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(new) - 1)
            self._rows.extend(new)
            self.endInsertRows()

    def set_busy(self, ids: frozenset[str]) -> None:
        """Which conversations are being answered."""
        changed, self._busy = self._busy ^ ids, ids
        for row, summary in enumerate(self._rows):
            if summary.id in changed:
                self.dataChanged.emit(self.index(row), self.index(row), [BUSY_ROLE])

    def row_of(self, conversation_id: str) -> int:
        """The row of a conversation, -1 where it is not among those loaded."""
        return next((i for i, row in enumerate(self._rows) if row.id == conversation_id), -1)

    def summary(self, row: int) -> ConversationSummary | None:
        """The conversation of a row."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def _section(self, row: int) -> str:
        if not self.grouped:
            return ""
        now = self._clock()
        own = day_group(self._rows[row].updated_at, now)
        return own if row == 0 or own != day_group(self._rows[row - 1].updated_at, now) else ""

    def _spoken(self, summary: ConversationSummary) -> str:
        busy = ", being answered" if summary.id in self._busy else ""
        return f"{summary.title}, {when(summary.updated_at, self._clock())}{busy} {summary.snippet}".rstrip()

    # Qt overrides

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """The rows loaded so far."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The title for display and edit, the summary for SUMMARY_ROLE."""
        summary = self.summary(index.row()) if index.isValid() else None
        if summary is None:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return summary.title
            case Qt.ItemDataRole.ToolTipRole:
                return f"{summary.title}\n{summary.model_name}".strip()
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(summary)
        match role:
            case _ if role == SUMMARY_ROLE:
                return summary
            case _ if role == SECTION_ROLE:
                return self._section(index.row())
            case _ if role == BUSY_ROLE:
                return summary.id in self._busy
            case _ if role == WHEN_ROLE:
                return when(summary.updated_at, self._clock())
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """An edited title is asked for; the row changes when it is stored."""
        summary = self.summary(index.row())
        if role != Qt.ItemDataRole.EditRole or summary is None:
            return False
        if str(value).strip() != summary.title:
            self.rename_wanted.emit(summary.id, str(value).strip())
        return True

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Rows can be chosen and renamed."""
        base = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return base | Qt.ItemFlag.ItemIsEditable if index.isValid() else base

    def canFetchMore(self, parent: _Index) -> bool:
        """Whether there may be older ones."""
        return self._more and not self._asked

    def fetchMore(self, parent: _Index) -> None:
        """Asked by the view near its end."""
        self._asked = True
        self.more_wanted.emit(len(self._rows))
