"""What a person finds in a part of the window: a button by its words, the lines that can be read."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget


def button(within: QWidget, words: str) -> QAbstractButton:
    """The one button that can be seen with these words, or as a picture with this name."""
    seen = [one for one in within.findChildren(QAbstractButton) if one.isVisibleTo(within)]
    (found,) = [one for one in seen if words in (one.text(), one.accessibleName())]
    return found


def lines(within: QWidget) -> list[str]:
    """The texts that can be seen, in the order in which they were made."""
    return [one.text() for one in within.findChildren(QLabel) if one.isVisibleTo(within) and one.text()]


def clock_of(widget: QWidget) -> QTimer:
    """The one timer of a widget, with which it puts something off. Its `timeout` says that the time has passed."""
    (clock,) = widget.findChildren(QTimer, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return clock
