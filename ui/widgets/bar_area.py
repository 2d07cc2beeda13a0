"""Where a page's bars stand: takes room, margins included, only while one of them is shown."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QVBoxLayout, QWidget

_SHOWN_OR_HIDDEN = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)


class BarArea(QWidget):
    """Holds bars one under the other, indented like the page's own text."""

    def __init__(self, *bars: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars = bars
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 8, 24, 8)
        column.setSpacing(8)
        for bar in bars:
            column.addWidget(bar)
            bar.installEventFilter(self)
        self._fit()

    def _fit(self) -> None:
        self.setVisible(any(not bar.isHidden() for bar in self._bars))

    # Qt overrides

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in _SHOWN_OR_HIDDEN:
            self._fit()
        return super().eventFilter(watched, event)
