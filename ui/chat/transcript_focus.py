"""The keyboard in the transcript: Tab and the arrows go from message to message, the one that has it wears a ring."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import shiboken6
from PySide6.QtCore import QObject, QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.chat.message_widget import MessageWidget
from ui.look.theme import color, tokens

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

    def watch(self, widget: MessageWidget) -> None:
        """A new message widget. By signals: an event filter would still be called while the widget is destroyed."""
        widget.focus_changed.connect(lambda has, by_key: self._on_focus(widget, has and by_key))
        widget.step_wanted.connect(lambda step: self._on_step(widget, step))

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

    def _on_focus(self, widget: MessageWidget, ringed: bool) -> None:
        if not shiboken6.isValid(self._viewport):
            return  # the window is going, and the focus with it
        self._ringed = widget if ringed else None
        if ringed:
            self._bring(widget)
        self._viewport.update()

    def _on_step(self, widget: MessageWidget, step: int) -> None:
        neighbour = self._neighbour(widget, step)
        if neighbour is not None:
            neighbour.setFocus(Qt.FocusReason.TabFocusReason)
