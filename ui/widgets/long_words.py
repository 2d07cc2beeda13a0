"""Words without an end, such as a file in base64: Qt looks through the whole word at each line of it that it breaks."""

from __future__ import annotations

from PySide6.QtGui import QTextOption

LONGEST_WORD = 1000
"""Characters. A word of 200,000 takes minutes to lay out, and the window stands still meanwhile."""


def wrap_mode(text: str) -> QTextOption.WrapMode:
    """Between words, and anywhere for a text in which that would take long."""
    if any(len(word) > LONGEST_WORD for word in text.split()):
        return QTextOption.WrapMode.WrapAnywhere
    return QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
