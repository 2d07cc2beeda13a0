"""Where a page leads elsewhere: it says what the user wants to see, and `ui.program` shows it."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal


class Page(IntEnum):
    """The pages, as they stand in the rail."""

    CHAT = 0
    DISCOVER = 1
    MODELS = 2
    WORKSHOP = 3
    SETTINGS = 4
    ABOUT = 5


class Navigation(QObject):
    """What a page or a notice asks for, beyond itself."""

    page_wanted = Signal(int)
    """The number of a page that is to be shown."""
    chat_wanted = Signal(Path)
    """The model that is to be loaded and chatted with."""
    search_wanted = Signal(str)
    """What Discover is to search for."""
    repository_wanted = Signal(str)
    """The id of a repository that Discover is to show."""
    model_made = Signal(Path)
    """A model whose row is to be chosen on the Models page, without showing it."""

    def show_page(self, page: Page) -> None:
        """Show a page."""
        self.page_wanted.emit(int(page))

    def chat_with(self, path: Path) -> None:
        """Load a model and show the chat."""
        self.chat_wanted.emit(path)

    def search(self, text: str) -> None:
        """Show Discover, with this to search for."""
        self.search_wanted.emit(text)

    def show_repository(self, id: str) -> None:
        """Show a repository on Discover."""
        self.repository_wanted.emit(id)
