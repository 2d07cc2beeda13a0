"""The sheet of a chat's settings with the storage behind it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.chat.conversation import Conversation
from app.requests import Sampling
from ui.widgets.sampling_panel import SamplingPanel

if TYPE_CHECKING:
    from workers.chat_storage import ChatStorage


class ChatSettingsPane(SamplingPanel):
    """Stores what changed; a new chat keeps it until its first message stores the chat."""

    changed = Signal(object)
    """Conversation with the new values."""
    failed = Signal(str, str)

    def __init__(self, storage: ChatStorage, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._storage = storage
        self._conversation = Conversation("", "")
        self.system_prompt_changed.connect(self._on_system_prompt)
        self.sampling_changed.connect(self._on_sampling)

    def show_conversation(self, conversation: Conversation) -> None:
        """The values of this one."""
        self.show_values(conversation.system_prompt, conversation.sampling, conversation.preset)
        self._conversation = conversation

    def load_presets(self) -> None:
        """The user's own."""
        self._storage.run(lambda store: store.presets(), self.set_own_presets, self.failed.emit)

    def _on_system_prompt(self, text: str) -> None:
        self._conversation = dataclasses.replace(self._conversation, system_prompt=text)
        id_ = self._conversation.id
        if id_:
            self._storage.run(lambda store: store.set_system_prompt(id_, text), None, self.failed.emit)
        self.changed.emit(self._conversation)

    def _on_sampling(self, sampling: Sampling, preset: str) -> None:
        self._conversation = dataclasses.replace(self._conversation, sampling=sampling, preset=preset)
        id_ = self._conversation.id
        if id_:
            self._storage.run(lambda store: store.set_sampling(id_, sampling, preset), None, self.failed.emit)
        self.changed.emit(self._conversation)
