"""Fields that steps of a recipe, dialogs and settings have in common: choices, numbers, check boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

FIELD_HEIGHT = 30


LEAST_FIELD = 160


class ChoiceBox(QComboBox):
    """A box with a line for each value. Qt would make a plain word of an enum's, so the values are kept here."""

    def __init__(self, name: str, words: Mapping[Any, str], on_chosen: Callable[[Any], object]) -> None:
        super().__init__()
        self.values: tuple[Any, ...] = ()
        self._words: tuple[str, ...] = ()
        self.setAccessibleName(name)
        self.setMinimumWidth(LEAST_FIELD)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.offer(words)
        self.activated.connect(lambda number: on_chosen(self.values[number]))
        self.currentIndexChanged.connect(lambda _number: self._show_tip())
        ignore_wheel_without_focus(self)

    @property
    def value(self) -> Any:
        """What is chosen; None where there is nothing to choose from."""
        return self.values[self.currentIndex()] if self.currentIndex() >= 0 else None

    def offer(self, words: Mapping[Any, str]) -> None:
        """Put other lines in, if they are others."""
        if (self.values, self._words) != (tuple(words), tuple(words.values())):
            self.values, self._words = tuple(words), tuple(words.values())
            self.clear()
            self.addItems(list(self._words))

    def choose(self, value: object) -> None:
        """Show a value without announcing it; what is not in the list leaves the box as it is."""
        if value in self.values:
            self.setCurrentIndex(self.values.index(value))

    def _show_tip(self) -> None:
        """What is cut is said whole."""
        whole = self.currentText()
        self.setToolTip(whole if self._shown_text() != whole else "")

    def _shown_text(self) -> str:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self).width()
        return self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_tip()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the field as Qt paints it, but with "…" where the words are cut."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self._shown_text()
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


def number(name: str, least: float, most: float, suffix: str, on_changed: Any, decimals: int = 0) -> QAbstractSpinBox:
    """A number with its unit; `on_changed(value)` when the user changes it."""
    box: QSpinBox | QDoubleSpinBox = QDoubleSpinBox(decimals=decimals) if decimals else QSpinBox()
    kind = float if decimals else int
    box.setAccessibleName(name)
    box.setRange(kind(least), kind(most))  # type: ignore[arg-type]
    box.setSuffix(suffix)
    box.setKeyboardTracking(False)  # a half-typed number is no value yet
    box.setGroupSeparatorShown(True)
    box.setFixedHeight(FIELD_HEIGHT)
    box.setMinimumWidth(LEAST_FIELD)
    box.lineEdit().setTextMargins(6, 0, 0, 0)  # the style sheet's padding does not reach the field inside
    if decimals:
        box.setSingleStep(0.1)  # type: ignore[arg-type]
    box.valueChanged.connect(on_changed)
    ignore_wheel_without_focus(box)
    return box


def check(words: str, on_clicked: Any) -> QCheckBox:
    """A box to tick, with its words."""
    box = QCheckBox(words)
    box.clicked.connect(lambda on: on_clicked(bool(on)))
    return box


def show_number(box: QAbstractSpinBox, value: float, *, most: float | None = None, suffix: str | None = None) -> None:
    """Show a number, with another limit or unit, without announcing it."""
    assert isinstance(box, QSpinBox | QDoubleSpinBox)
    box.blockSignals(True)
    if most is not None:
        box.setMaximum(most)  # type: ignore[arg-type]
    if suffix is not None:
        box.setSuffix(suffix)
    box.setValue(value)  # type: ignore[arg-type]
    box.blockSignals(False)


class _WheelGuard(QObject):
    """A wheel turned over a long form scrolls the form; it must not change the field the pointer happens to be over."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def ignore_wheel_without_focus(field: QComboBox | QAbstractSpinBox) -> None:
    """Leave the wheel alone, for a field in what scrolls."""
    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    field.installEventFilter(_WheelGuard(field))
