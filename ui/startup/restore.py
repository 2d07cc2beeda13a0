"""The window as it was left: where it stood, which page it showed, which chat was open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize
from PySide6.QtWidgets import QWidget

from ui.startup.window_state import WindowState
from ui.window.main_window import usual_size

if TYPE_CHECKING:
    from ui.chat.page import ChatPage
    from ui.window.main_window import MainWindow
    from workers.chat_storage import ChatStorage

_HANDLE = QSize(160, 24)
"""So much of the top of a window must be on a screen that it can be taken and moved."""


def place(window: QWidget, geometry: bytes) -> None:
    """Put the window where it stood; one whose screen has gone comes back to one that is there."""
    window.restoreGeometry(geometry)
    screens = [screen.availableGeometry() for screen in window.screen().virtualSiblings()]
    if window.windowState() == window.windowState().WindowNoState and not can_be_taken(window.geometry(), screens):
        room = window.screen().availableGeometry()
        window.resize(usual_size(room.size()))
        middle = QRect(window.geometry())
        middle.moveCenter(room.center())
        window.move(max(room.left(), middle.left()), max(room.top(), middle.top()))


def can_be_taken(window: QRect, screens: Sequence[QRect]) -> bool:
    """Whether enough of the window's top is on some screen."""
    top = QRect(window.left(), window.top(), window.width(), _HANDLE.height())
    shown = (top.intersected(screen) for screen in screens)
    return any(part.width() >= _HANDLE.width() and part.height() >= _HANDLE.height() for part in shown)


def restore_chat(page: ChatPage, storage: ChatStorage, conversation_id: str) -> None:
    """Open the chat of the last run, unless it has gone or the user is quicker. What fails is told by the list."""
    page.stack.setCurrentWidget(page.transcript)  # blank, so that nothing is shown that goes at once

    def on_found(is_listed: bool) -> None:
        if page.conversation.id:
            return
        if is_listed and not page.composer.text:
            page.open(conversation_id)
        else:
            page.stack.setCurrentWidget(page.empty)

    storage.run(lambda store: store.is_listed(conversation_id), on_found, lambda *_: on_found(False))


def state_of(window: MainWindow, chat: ChatPage) -> WindowState:
    """What to remember at the end."""
    geometry = bytes(window.saveGeometry().data())
    return WindowState.of_geometry(geometry, window.pages.currentIndex(), chat.conversation.id)
