"""The keyboard in the transcript: Tab and the arrows go from message to message, the one that has it wears a ring."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.theme import color, tokens

KEYS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
_RING_X, _RING_Y = 12, 6


class TranscriptFocus(QObject):
    """Watches the message widgets. `bring` scrolls one into sight, `neighbour` gives the one a step away."""

    def __init__(
        self,
        viewport: QWidget,
        bring: Callable[[QWidget], None],
        neighbour: Callable[[QWidget, int], QWidget | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewport, self._bring, self._neighbour = viewport, bring, neighbour
        self._ringed: QWidget | None = None

    def watch(self, widget: QWidget) -> None:
        """A new message widget."""
        widget.installEventFilter(self)

    def forget(self, widget: QWidget) -> None:
        """A message widget that goes."""
        if self._ringed is widget:
            self._ringed = None

    def chain(self, widgets: list[QWidget]) -> None:
        """Tab goes through the messages in the order they are read."""
        for before, after in pairwise(widgets):
            QWidget.setTabOrder(before, after)

    def paint(self, painter: QPainter) -> None:
        """The ring, on the viewport."""
        if self._ringed is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("accent"), 2))
        around = QRectF(self._ringed.geometry()).adjusted(-_RING_X, -_RING_Y, _RING_X, 0)
        painter.drawRoundedRect(around, tokens().radius, tokens().radius)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A message that gets the focus by a key comes into sight."""
        if not isinstance(watched, QWidget):
            return False
        if event.type() == QEvent.Type.FocusIn and isinstance(event, QFocusEvent):
            self._ringed = watched if event.reason() in KEYS else None
            if self._ringed is not None:
                self._bring(watched)
            self._viewport.update()
        elif event.type() == QEvent.Type.FocusOut:
            self._ringed = None
            self._viewport.update()
        elif event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._on_key(watched, event)
        return False

    def _on_key(self, watched: QWidget, event: QKeyEvent) -> bool:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        widget = self._neighbour(watched, step) if step is not None and not event.modifiers() else None
        if widget is not None:
            widget.setFocus(Qt.FocusReason.TabFocusReason)
        return widget is not None
