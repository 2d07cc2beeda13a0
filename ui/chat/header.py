"""The line over the transcript: the chat's title, its settings, and what can be done with it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from ui.look.icons import set_icon

HEIGHT = 44


class ChatHeader(QWidget):
    """The list can be folded away, the sheet opened; the menu is that of the list."""

    list_toggled = Signal()
    settings_toggled = Signal(bool)
    menu_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self.title = QLabel()
        self.title.setProperty("role", "strong")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.list_button = self._button("panel-left", "Show or hide the list of chats")
        self.settings = self._button("sliders-horizontal", "System prompt and sampling of this chat", checkable=True)
        self.menu = self._button("ellipsis", "More about this chat")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(4)
        row.addWidget(self.list_button)
        row.addWidget(self.title, 1)
        row.addWidget(self.settings)
        row.addWidget(self.menu)
        self.setFixedHeight(HEIGHT)
        self.list_button.clicked.connect(self.list_toggled)
        self.settings.toggled.connect(self.settings_toggled)
        self.menu.clicked.connect(self.menu_wanted)

    def set_title(self, title: str, stored: bool) -> None:
        """`stored` chats have a menu; a new one has nothing to rename yet."""
        self._full = title
        self.title.setToolTip(title)
        self.menu.setEnabled(stored)
        self._elide()

    def _elide(self) -> None:
        room = max(40, self.width() - 140)
        self.title.setText(self.title.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideRight, room))

    def _button(self, icon: str, words: str, checkable: bool = False) -> QToolButton:
        button = QToolButton()
        button.setProperty("role", "icon")
        button.setCheckable(checkable)
        button.setToolTip(words)
        button.setAccessibleName(words)
        set_icon(button, icon, "text_secondary")
        return button

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The title gives way."""
        self._elide()
