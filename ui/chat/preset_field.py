"""The choice of a sampling preset, and what keeps the user's own: save the values under a name, delete one again."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QPushButton, QWidget

CUSTOM = "Own values"
_LONGEST_NAME = 60


class PresetField(QWidget):
    """A combo box, which a field for a name takes the place of while one is wanted."""

    save_wanted = Signal(str)
    """Name for the values as they are."""
    delete_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own: frozenset[str] = frozenset()
        self.combo = QComboBox()
        self.combo.setAccessibleName("Sampling preset")
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.name = QLineEdit(maxLength=_LONGEST_NAME)
        self.name.setPlaceholderText("Name, then Enter")
        self.name.setAccessibleName("Name of the new preset")
        self.name.hide()
        self.button = QPushButton()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.combo, 1)
        row.addWidget(self.name, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.combo)
        self.combo.currentTextChanged.connect(self._end_naming)
        self.button.clicked.connect(self._on_button)
        self.name.returnPressed.connect(self._on_button)
        escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self.name, context=Qt.ShortcutContext.WidgetShortcut)
        escape.activated.connect(self._leave_name)
        self._refresh()

    def set_names(self, built_in: tuple[str, ...], own: tuple[str, ...]) -> None:
        """Fill the box, "own values" last. What is chosen then is the first; the caller says what it should be."""
        self._own = frozenset(own)
        self.combo.clear()
        self.combo.addItems([*built_in, *own, CUSTOM])
        self._refresh()

    def _on_button(self) -> None:
        chosen = self.combo.currentText()
        if not self.name.isHidden():
            if name := self.name.text().strip():
                self._leave_name()
                self.save_wanted.emit(name)
        elif chosen in self._own:
            self.delete_wanted.emit(chosen)
        else:
            self._begin_naming()

    def _leave_name(self) -> None:
        self._end_naming()
        self.combo.setFocus()

    def _begin_naming(self) -> None:
        self.combo.hide()
        self.name.clear()
        self.name.show()
        self.name.setFocus()
        self._refresh()

    def _end_naming(self) -> None:
        self.name.hide()
        self.combo.show()
        self._refresh()

    def _refresh(self) -> None:
        chosen = self.combo.currentText()
        own = chosen in self._own and self.name.isHidden()
        self.button.setText("Delete" if own else "Save" if self.combo.isHidden() else "Save…")
        self.button.setAccessibleName(f"Delete the preset {chosen}" if own else "Save the values as a preset")
        self.button.setVisible(own or chosen == CUSTOM)
