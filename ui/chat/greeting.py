"""The words in the empty chat of a first start: what Bantam is, until there has been a first chat."""

from __future__ import annotations

from ui.chat.page import ChatPage
from workers.settings_store import WindowStateStore


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
