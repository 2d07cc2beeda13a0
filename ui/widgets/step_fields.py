"""What the fields of every recipe step have in common: rows with a word before them, more of them behind "More"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from app.compress.recipe import Step
from app.library.safetensors import FolderFacts
from ui.icons import set_icon
from ui.widgets.setting_editors import ignore_wheel_without_focus

WORD_WIDTH = 88
_FIELD_HEIGHT = 30
_SPACING = 8
_LEAST_FIELD = 160
_WRAPS_BELOW = 500
"""Pixels: in less room the word stands above its field, so that the choices are whole."""


class Field(QWidget):
    """An editor, and beside it what is to be said about its value."""

    def __init__(self, editor: QWidget, *, stretch: bool = False) -> None:
        super().__init__()
        self.note = QLabel()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setWordWrap(True)
        self.note.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(editor, 1 if stretch else 0)
        row.addWidget(self.note, 0 if stretch else 1)
        if not stretch:
            row.addStretch()
        self.setFocusProxy(editor)

    def append(self, widget: QWidget) -> None:
        """At the right end of the line."""
        self.layout().addWidget(widget)

    def say(self, words: str, role: str = "caption") -> None:
        """`words` beside the editor; "" takes them away."""
        self.note.setText(words)
        self.note.setVisible(bool(words))
        if self.note.property("role") != role:
            self.note.setProperty("role", role)
            self.note.style().polish(self.note)


class StepFields(QWidget):
    """The editors of one step. `step` is the truth; every editor changes it, and is then drawn from it again."""

    changed = Signal()
    """By the user."""

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._step: Any = step
        self._facts: FolderFacts | None = None
        self.title = QLabel()
        self.title.setProperty("role", "strong")
        self._form, self._more_form = _form(), _form()
        self._behind = QWidget()
        self._behind.setLayout(self._more_form)
        self._behind.hide()
        self.more = QPushButton("More")
        self.more.setProperty("role", "disclosure")
        self.more.setCheckable(True)
        self.more.setAccessibleName("More options of this step")
        set_icon(self.more, "chevron-right", "text_secondary", 16)
        self.more.toggled.connect(self._on_more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._form)
        column.addWidget(self._behind)

    @property
    def step(self) -> Step:
        """As the fields say now."""
        return self._step

    @property
    def problem(self) -> str:
        """Why this step cannot be meant for this model; "" where it can."""
        return ""

    def set_facts(self, facts: FolderFacts | None) -> None:
        """Offer what is possible with this model."""
        self._facts = facts
        self.refresh()

    def refresh(self) -> None:
        """Draw every editor from the step."""
        raise NotImplementedError

    def edit(self, **changes: object) -> None:
        """The user changed these."""
        self._step = replace(self._step, **changes)
        self.refresh()
        self.changed.emit()

    def add_first_row(self, field: Field) -> Field:
        """The row that the step's own title stands before, with "More" at its end."""
        self.title.setMinimumHeight(_FIELD_HEIGHT)
        self.title.setFixedWidth(WORD_WIDTH)
        field.append(self.more)
        self._form.addRow(self.title, field)
        return field

    def add_row(self, word: str, field: QWidget, *, more: bool = False) -> QWidget:
        """One more row, behind "More" where it is rarely needed; returns the field, to show and hide the row with."""
        form = self._more_form if more else self._form
        label = QLabel(word)
        label.setProperty("role", "secondary")
        label.setFixedWidth(WORD_WIDTH)
        label.setMinimumHeight(_FIELD_HEIGHT)
        label.setBuddy(field)
        form.addRow(label, field)
        return field

    def show_row(self, field: QWidget, visible: bool) -> None:
        """Show or hide a row with its word."""
        form = self._more_form if self._more_form.indexOf(field) >= 0 else self._form
        if field.isHidden() == visible:  # `isRowVisible` says no for all rows while "More" is closed
            form.setRowVisible(field, visible)

    def _on_more(self, on: bool) -> None:
        self._behind.setVisible(on)
        set_icon(self.more, "chevron-down" if on else "chevron-right", "text_secondary", 16)

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wraps = event.size().width() < _WRAPS_BELOW
        policy = QFormLayout.RowWrapPolicy.WrapAllRows if wraps else QFormLayout.RowWrapPolicy.DontWrapRows
        for form in (self._form, self._more_form):
            form.setRowWrapPolicy(policy)
            form.setVerticalSpacing(0 if wraps else _SPACING)  # a word is as high as a field: room enough


class ChoiceBox(QComboBox):
    """A box with a line for each value. Qt would make a plain word of an enum's, so the values are kept here."""

    def __init__(self, name: str, words: Mapping[Any, str], on_chosen: Callable[[Any], object]) -> None:
        super().__init__()
        self.values: tuple[Any, ...] = ()
        self._words: tuple[str, ...] = ()
        self.setAccessibleName(name)
        self.setMinimumWidth(_LEAST_FIELD)
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
        """As Qt paints it, but with "…" where the words are cut."""
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
    box.setFixedHeight(_FIELD_HEIGHT)
    box.setMinimumWidth(_LEAST_FIELD)
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


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(_SPACING)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return form
