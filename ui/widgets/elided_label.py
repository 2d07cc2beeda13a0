"""A line that is cut with "…" where it does not fit, and says all of itself in its tool tip then."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent, QTextOption
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

_LEAST_WIDTH = 48
"""The least width: in less room a few letters say nothing, and none are shown."""


class ElidedLabel(QLabel):
    """A label as wide as it would like, and as narrow as it must."""

    def __init__(
        self, role: str, parent: QWidget | None = None, *, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__(parent)
        self._whole, self._mode = "", mode
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def say(self, text: str) -> None:
        """Show this."""
        self._whole = text
        self.setAccessibleName(text)
        self._elide()

    def _elide(self) -> None:
        room = self.width() if self.width() >= _LEAST_WIDTH else 0
        short = self.fontMetrics().elidedText(self._whole, self._mode, room)
        self.setText(short)
        self.setToolTip(self._whole if short != self._whole else "")

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def sizeHint(self) -> QSize:
        """The size of the whole text, for layouts that ask: by itself it takes what it is given."""
        return QSize(self.fontMetrics().horizontalAdvance(self._whole), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())


# Words without an end, such as a file in base64: Qt looks through the whole word at each line of it that it breaks.


LONGEST_WORD = 1000
"""Characters. A word of 200,000 takes minutes to lay out, and the window stands still meanwhile."""


def wrap_mode(text: str) -> QTextOption.WrapMode:
    """How lines break: between words, and anywhere for a text in which that would take long."""
    if any(len(word) > LONGEST_WORD for word in text.split()):
        return QTextOption.WrapMode.WrapAnywhere
    return QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
