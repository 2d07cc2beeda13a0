"""What is typed and not sent, kept for each conversation: in memory at once, on the disk within a second."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.chat.unsent import load_unsent, save_unsent

if TYPE_CHECKING:
    from ui.chat.composer import Composer
    from ui.chat.message_editing import MessageEditing
    from workers.chat_storage import ChatStorage

SAVE_AFTER_MS = 1000
"""From the first key that is not saved. Typing on does not put it off: a text that takes minutes is not lost whole."""


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
        """Into the field, unless the user was quicker."""
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
