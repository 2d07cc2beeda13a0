"""Where the parts of the chat page stand: list | header, messages, composer | the chat's settings."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from ui.chat.conversation_list import WIDTH

LEAST_WITH_LIST = 620
"""A narrower page shows the messages alone."""


def lay_out(page: QWidget, conversations: QWidget, middle: QWidget, sheet: QWidget) -> None:
    """Put the three columns into `page`; the user can move the line between the first two."""
    page.setProperty("role", "page")
    split = QSplitter(Qt.Orientation.Horizontal)
    split.setChildrenCollapsible(False)
    split.setHandleWidth(1)
    split.addWidget(conversations)
    split.addWidget(middle)
    split.setStretchFactor(0, 0)
    split.setStretchFactor(1, 1)
    split.setSizes([WIDTH, 900])
    row = QHBoxLayout(page)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    row.addWidget(split, 1)
    row.addWidget(sheet)


def middle_column(header: QWidget, messages: QWidget, bars: Sequence[QWidget], composer: QWidget) -> QWidget:
    """Header, messages, bars and composer, from the top down."""
    middle = QWidget()
    middle.setMinimumWidth(320)
    column = QVBoxLayout(middle)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(header)
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedHeight(1)
    column.addWidget(line)
    column.addWidget(messages, 1)
    between = QVBoxLayout()
    between.setContentsMargins(24, 0, 24, 0)
    between.setSpacing(8)
    for bar in bars:
        between.addWidget(bar)
    column.addLayout(between)
    column.addWidget(composer)
    return middle


def stacked(*widgets: QWidget) -> QStackedWidget:
    """One in the place of the other; the first is shown."""
    stack = QStackedWidget()
    for widget in widgets:
        stack.addWidget(widget)
    return stack
