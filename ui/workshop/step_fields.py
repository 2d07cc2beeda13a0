"""What the fields of every recipe step have in common: rows with a word before them, more of them behind "More"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.library.safetensors import FolderFacts
from app.recipe.recipe import Step
from ui.look.icons import set_icon
from ui.widgets.fields import FIELD_HEIGHT

WORD_WIDTH = 88
_SPACING = 8
_WRAPS_BELOW = 500
"""Pixels: in less room the word stands above its field, so that the choices are whole."""


FieldT = TypeVar("FieldT", bound=QWidget)


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
        """Add it at the right end of the line."""
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
    """A change by the user."""

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
        """The step as the fields say now."""
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
        self.title.setMinimumHeight(FIELD_HEIGHT)
        self.title.setFixedWidth(WORD_WIDTH)
        field.append(self.more)
        self._form.addRow(self.title, field)
        return field

    def add_row(self, word: str, field: FieldT, *, more: bool = False) -> FieldT:
        """One more row, behind "More" where it is rarely needed; returns the field, to show and hide the row with."""
        form = self._more_form if more else self._form
        label = QLabel(word)
        label.setProperty("role", "secondary")
        label.setFixedWidth(WORD_WIDTH)
        label.setMinimumHeight(FIELD_HEIGHT)
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


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(_SPACING)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return form
