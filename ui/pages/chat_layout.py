"""Where the parts of the chat page stand: list | header, messages, composer | the chat's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from ui.widgets.conversation_list import WIDTH

if TYPE_CHECKING:
    from ui.pages.chat_page import ChatPage

LEAST_WITH_LIST = 620
"""A narrower page shows the messages alone."""


def lay_out(page: ChatPage) -> None:
    """Put the page's widgets into place."""
    page.setProperty("role", "page")
    page.stack.addWidget(page.empty)
    page.stack.addWidget(page.transcript)
    page.panel.hide()
    split = QSplitter(Qt.Orientation.Horizontal)
    split.setChildrenCollapsible(False)
    split.setHandleWidth(1)
    split.addWidget(page.list)
    split.addWidget(_middle(page))
    split.setStretchFactor(0, 0)
    split.setStretchFactor(1, 1)
    split.setSizes([WIDTH, 900])
    row = QHBoxLayout(page)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    row.addWidget(split, 1)
    row.addWidget(page.panel)


def _middle(page: ChatPage) -> QWidget:
    middle = QWidget()
    middle.setMinimumWidth(320)
    column = QVBoxLayout(middle)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(page.header)
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedHeight(1)
    column.addWidget(line)
    column.addWidget(page.stack, 1)
    bars = QVBoxLayout()
    bars.setContentsMargins(24, 0, 24, 0)
    bars.setSpacing(8)
    bars.addWidget(page.error)
    bars.addWidget(page.notice)
    column.addLayout(bars)
    column.addWidget(page.composer)
    return middle
