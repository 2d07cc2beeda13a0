"""The window as it was left: where it stood, which page it showed, which chat was open."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QSize, QUrl
from PySide6.QtWidgets import QWidget

from app.library.gguf_file import GgufHeader, read_header
from app.library.gguf_reader import printable
from ui.window.main_window import usual_size
from workers.protocol import Failure

if TYPE_CHECKING:
    from ui.chat.page import ChatPage
    from ui.navigation import Navigation
    from workers.chat_storage import ChatStorage
    from workers.services import Services


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


def geometry_of(window: QWidget) -> str:
    """Where the window stands, as `WindowState.geometry` keeps it."""
    return base64.b64encode(bytes(window.saveGeometry().data())).decode("ascii")


def geometry_bytes(geometry: str) -> bytes:
    """The bytes for `QWidget.restoreGeometry`; empty where there is none or it is damaged."""
    try:
        return base64.b64decode(geometry, validate=True)
    except (ValueError, binascii.Error):
        return b""


# A model file that was opened from outside, by a double click or on the command line: used where it lies.


def file_of_argument(argument: str) -> Path | None:
    """The absolute path a command line names, as a path or as a file:// address; None for ""."""
    if not argument:
        return None
    local = QUrl(argument).toLocalFile() if argument.startswith("file:") else argument
    return Path(local).absolute()


def open_file(
    services: Services,
    navigation: Navigation,
    show_failure: Callable[[Failure], None],
    path: Path,
    otherwise: Path | None = None,
) -> None:
    """Look at the file, add it to the models if it is one, load it and show the chat.

    `otherwise` is loaded where it is none.
    """

    def on_header(_header: GgufHeader) -> None:
        services.library.include((path,))
        navigation.chat_with(path)

    def on_error(failure: Failure) -> None:
        if otherwise is not None:
            services.current.load(otherwise)  # first: a load that begins takes away what was said of the last
        show_failure(Failure(refusal(path, failure.sentence), failure.hint))

    services.tasks.run(read_header, path, on_result=on_header, on_error=on_error, receiver=services)


def refusal(path: Path, sentence: str) -> str:
    """Why the file was not opened, with its name in it once."""
    name = printable(path.name)
    return sentence if f"“{name}”" in sentence else f"“{name}” was not opened. {sentence}"
