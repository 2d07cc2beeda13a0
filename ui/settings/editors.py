"""One editor for each type of setting, made from its declaration. Each announces the new value and can show another."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.settings import Declaration
from ui.widgets.fields import FIELD_HEIGHT, ignore_wheel_without_focus

_FIELD_WIDTH = 200
_LIST_ROWS = 3
_STEPS = {"tokens": 256, "ms a token": 10}


def editor_for(name: str, default: Any, declaration: Declaration) -> QWidget:
    """The editor for a setting of this type. It has the signal `edited`, and `show_value`, which does not emit that."""
    if isinstance(default, StrEnum):
        editor: QWidget = EnumEditor(type(default))
    elif isinstance(default, bool):
        editor = BoolEditor(declaration.label)
    elif isinstance(default, str):
        editor = TextEditor()
    elif isinstance(default, tuple):
        editor = PathsEditor(folders=name.endswith("folders"))
    else:
        editor = NumberEditor(default, declaration, "as measured" if name.endswith("_threads") else "")
    editor.setAccessibleName(declaration.label)
    editor.setAccessibleDescription(declaration.help)
    return editor


class EnumEditor(QComboBox):
    """One of a few words."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, kind: type[StrEnum], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for choice in kind:
            self.addItem(_choice_words(choice), choice)
        self.setFixedWidth(_FIELD_WIDTH)
        self.activated.connect(lambda _index: self.edited.emit(kind(self.currentData())))
        ignore_wheel_without_focus(self)

    def show_value(self, value: StrEnum) -> None:
        self.setCurrentIndex(self.findData(value))


class TextEditor(QLineEdit):
    """One line, announced when it is left or confirmed."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(FIELD_HEIGHT)
        self.editingFinished.connect(lambda: self.edited.emit(self.text().strip()))

    def show_value(self, value: str) -> None:
        if value != self.text().strip():
            self.setText(value)


class BoolEditor(QCheckBox):
    """Yes or no; the label is its own text."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.clicked.connect(lambda checked: self.edited.emit(bool(checked)))

    def show_value(self, value: bool) -> None:
        self.setChecked(value)


class NumberEditor(QWidget):
    """A spin box with its unit, for whole numbers and for tenths."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(
        self, default: float, declaration: Declaration, word_for_least: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.box: QSpinBox | QDoubleSpinBox = QSpinBox() if isinstance(default, int) else QDoubleSpinBox(decimals=1)
        # A QSpinBox takes whole numbers alone, and does not convert.
        kind: Any = type(default)
        self.box.setRange(kind(declaration.minimum or 0), kind(declaration.maximum or 1_000_000))
        self.box.setSuffix(f" {declaration.unit}" if declaration.unit else "")
        self.box.setSingleStep(kind(_STEPS.get(declaration.unit, 1)))
        self.box.setSpecialValueText(word_for_least)
        self.box.setKeyboardTracking(False)  # a half-typed number is no value yet
        self.box.setGroupSeparatorShown(True)
        self.box.setFixedSize(_FIELD_WIDTH, FIELD_HEIGHT)
        # the style sheet's padding does not reach the field inside a spin box
        self.box.lineEdit().setTextMargins(6, 0, 0, 0)
        self.box.valueChanged.connect(lambda value: self.edited.emit(value))
        ignore_wheel_without_focus(self.box)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 0, Qt.AlignmentFlag.AlignLeft)
        self.setFocusProxy(self.box)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.box.setAccessibleName(name)

    def show_value(self, value: float) -> None:
        self.box.blockSignals(True)
        self.box.setValue(value)  # type: ignore[arg-type]
        self.box.blockSignals(False)


class PathsEditor(QWidget):
    """A short list of folders or files with Add and Remove."""

    edited = Signal(object)  # a value of the setting's type

    def __init__(self, *, folders: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folders = folders
        self.list = QListWidget()
        self.list.setProperty("role", "field")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setFixedHeight(_LIST_ROWS * 24 + 4)
        add, self.remove = QPushButton("Add…"), QPushButton("Remove")
        add.clicked.connect(self._on_add)
        self.remove.clicked.connect(self._on_remove)
        self.remove.setEnabled(False)
        self.list.currentRowChanged.connect(lambda row: self.remove.setEnabled(row >= 0))
        buttons = QVBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(add)
        buttons.addWidget(self.remove)
        buttons.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.list, 1)
        row.addLayout(buttons)
        self.setFocusProxy(self.list)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.list.setAccessibleName(name)

    def values(self) -> tuple[str, ...]:
        """The paths, in order."""
        return tuple(self.list.item(row).text() for row in range(self.list.count()))

    def show_value(self, value: tuple[str, ...]) -> None:
        if value != self.values():
            self.list.clear()
            self.list.addItems(list(value))

    def _on_add(self) -> None:
        if self._folders:
            new = [QFileDialog.getExistingDirectory(self, "Add a folder of models")]
        else:
            new, _ = QFileDialog.getOpenFileNames(self, "Add model files", "", "Models (*.gguf)")
        self._announce((*self.values(), *(name for name in new if name)))

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        self._announce(tuple(name for index, name in enumerate(self.values()) if index != row))

    def _announce(self, value: tuple[str, ...]) -> None:
        unique = tuple(dict.fromkeys(value))
        if unique != self.values():
            self.show_value(unique)
            self.edited.emit(unique)


def _choice_words(choice: StrEnum) -> str:
    # ggml's names stay as they are; words begin with a capital
    return choice.value if any(character.isdigit() for character in choice.value) else choice.value.capitalize()
