"""How long a conversation the verdicts are for: a slider over the context lengths that were planned."""

from __future__ import annotations

from bisect import bisect_right

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from app.fit.judging import CONTEXTS
from app.units import grouped
from ui.look.theme import text_font

_WIDTH, _LEAST_WIDTH = 200, 60


class ContextSlider(QWidget):
    """Announces each length while it is dragged: the verdicts move with it."""

    changed = Signal(int)
    """Tokens"""

    def __init__(self, tokens: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stops = CONTEXTS
        self._wanted = tokens
        label = QLabel("Context")
        label.setToolTip("How much of a conversation the model sees at once. More takes more memory.")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Context in tokens")
        self.slider.setMinimumWidth(_LEAST_WIDTH)
        self.slider.setMaximumWidth(_WIDTH)
        self.slider.setPageStep(1)
        label.setBuddy(self.slider)
        self.value = QLabel()
        self.value.setFont(text_font(tabular=True))
        self.value.setMinimumWidth(104)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self.slider, 1)
        row.addWidget(self.value)
        row.addStretch()
        self.set_limit(0)
        self.slider.valueChanged.connect(self._on_value)

    @property
    def tokens(self) -> int:
        return self._stops[self.slider.value()]

    def set_limit(self, trained_tokens: int) -> None:
        """No further than the model was trained for; 0 is not known. Says nothing, and keeps what the user wants in
        mind for a model that can have it.
        """
        stops = tuple(stop for stop in CONTEXTS if not trained_tokens or stop <= trained_tokens)
        self._stops = stops or CONTEXTS[:1]
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._stops) - 1)
        self.slider.setValue(max(0, bisect_right(self._stops, self._wanted) - 1))
        self.slider.blockSignals(False)
        self._show()

    def _on_value(self, _value: int) -> None:
        self._wanted = self.tokens
        self._show()
        self.changed.emit(self.tokens)

    def _show(self) -> None:
        self.value.setText(f"{grouped(self.tokens)} tokens")
