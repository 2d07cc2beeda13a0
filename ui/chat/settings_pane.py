"""The sheet of a chat's settings with the storage behind it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.chat.conversation import Conversation
from app.chat.presets import BALANCED, SamplingPreset, suggested_preset
from app.engine.messages import Sampling
from ui.chat.sampling_panel import SamplingPanel

if TYPE_CHECKING:
    from app.chat.store import ChatStore
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
        self._suggested = BALANCED
        self.system_prompt_changed.connect(self._on_system_prompt)
        self.sampling_changed.connect(self._on_sampling)
        self.preset_saved.connect(self._on_preset_saved)
        self.preset_deleted.connect(self._on_preset_deleted)

    def show_conversation(self, conversation: Conversation) -> None:
        """The values of this one."""
        self.show_values(conversation.system_prompt, conversation.sampling, conversation.preset)
        self._conversation = conversation
        self._suggest()

    def suggest_for(self, parameters: int) -> None:
        """A model of this many parameters was loaded: new chats begin with what suits it."""
        self.flush()
        left, self._suggested = self._suggested, suggested_preset(parameters)
        self._suggest(left)

    def load_presets(self) -> None:
        """The user's own."""
        self._storage.run(lambda store: store.presets(), self.set_own_presets, self.failed.emit)

    def _on_preset_saved(self, name: str, sampling: Sampling) -> None:
        def save(store: ChatStore) -> tuple[str, tuple[SamplingPreset, ...]]:
            return store.save_preset(name, sampling).name, store.presets()

        self._storage.run(save, self._on_preset_stored, self.failed.emit)

    def _on_preset_stored(self, stored: tuple[str, tuple[SamplingPreset, ...]]) -> None:
        name, presets = stored
        self.set_own_presets(presets)
        self.choose_preset(name)

    def _on_preset_deleted(self, name: str) -> None:
        """The values stay: they are the chat's own now, and can be saved again."""
        self._storage.run(lambda store: store.delete_preset(name), lambda _: self.load_presets(), self.failed.emit)

    def _suggest(self, instead_of: SamplingPreset = BALANCED) -> None:
        """Only in a chat that is not stored yet, and whose values nobody has chosen."""
        chat = self._conversation
        if chat.id or (chat.sampling, chat.preset) != (instead_of.sampling, instead_of.name):
            return
        chat = dataclasses.replace(chat, sampling=self._suggested.sampling, preset=self._suggested.name)
        if chat != self._conversation:
            self.show_values(chat.system_prompt, chat.sampling, chat.preset)
            self._conversation = chat
            self.changed.emit(chat)

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
