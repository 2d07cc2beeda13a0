"""The list of conversations with the services behind it: search, rename, delete and undo, export."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.chat.conversation import UNTITLED
from ui.chat.conversation_list import UNDO_MS, ConversationList
from ui.chat.conversations import ConversationShelf, file_name

_KINDS = {"markdown": "Markdown (*.md)", "json": "JSON (*.json)"}
_TITLE_LENGTH = 28


class ChatListPane(ConversationList):
    """Does what its list is asked for; the page hears of what concerns the open conversation."""

    about_to_delete = Signal(str)
    """Conversation id, before anything happens."""
    restored = Signal(str)

    def __init__(self, shelf: ConversationShelf, parent: QWidget | None = None) -> None:
        super().__init__(shelf.model, parent)
        self._shelf = shelf
        self.search_changed.connect(shelf.search)
        self.delete_wanted.connect(self.delete)
        self.export_wanted.connect(self._on_export)
        shelf.deleted.connect(self._on_deleted)

    def delete(self, conversation_id: str) -> None:
        """Delete with a way back."""
        self.about_to_delete.emit(conversation_id)
        self._shelf.delete(conversation_id)

    def _on_deleted(self, conversation_id: str, title: str) -> None:
        short = title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1].rstrip() + "…"
        self.undo.show_notice(
            f"Deleted “{short}”.",
            "Undo",
            lambda: self._shelf.restore(conversation_id, self.restored.emit),
            stay_ms=UNDO_MS,
        )

    def _on_export(self, conversation_id: str, kind: str) -> None:
        row = self._shelf.model.summary(self._shelf.model.row_of(conversation_id))
        name = file_name(row.title if row is not None else UNTITLED, kind)
        path, _ = QFileDialog.getSaveFileName(self, "Export the chat", str(Path.home() / name), _KINDS[kind])
        if path:
            self._shelf.export(conversation_id, kind, Path(path))
