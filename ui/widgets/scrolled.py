"""A column that is higher than its page: scrolled up and down, never sideways."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

_LEAST_HEIGHT = 96


def scrolled(content: QWidget, area: QScrollArea | None = None) -> QScrollArea:
    """The content, as wide as the page allows, with a bar at its right where it is higher."""
    area = area or QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setAlignment(Qt.AlignmentFlag.AlignLeft)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(content)
    return area


class HighAsContent(QScrollArea):
    """An area as high as what is in it, where there is room for that: it scrolls only where others need the height."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        scrolled(content, self)

    # Qt overrides

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        content = self.widget()
        return content.heightForWidth(width) if content.hasHeightForWidth() else content.sizeHint().height()

    def sizeHint(self) -> QSize:
        return self.widget().sizeHint()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, min(_LEAST_HEIGHT, self.widget().minimumSizeHint().height()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The content has changed, and its height with it."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)


# Where the keyboard's focus goes when the widget that has it goes away: to the place around it, which does nothing.


def stay_around(window: QWidget) -> bool:
    """Call first in `window.focusNextPrevChild`; True where that is all.

    Qt calls that for Tab, and also when a button is hidden or disabled by its own click: the next widget in the chain
    may be the one that cancels what was begun, and a second Space would press it.
    """
    leaving = window.focusWidget()
    if leaving is None or leaving is window or (leaving.isVisible() and leaving.isEnabled()):
        return False
    place = leaving.parentWidget()
    while place is not None and place is not window and not (place.isVisible() and place.isEnabled()):
        place = place.parentWidget()
    (place or window).setFocus()
    return True
