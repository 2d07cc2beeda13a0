"""The rail on the left: one button a page, icon and word; at its foot what is seldom wanted."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QToolButton, QVBoxLayout, QWidget

from ui.look.icons import set_icon

_WIDTH = 80
_BUTTON = QSize(72, 56)


class Rail(QWidget):
    """Exactly one button is checked. Ctrl+1, Ctrl+2, … are the window's."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "side")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Pages")
        self.setFixedWidth(_WIDTH)
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(4, 8, 4, 8)
        self._column.setSpacing(4)
        self._column.addStretch()

    def add(self, word: str, icon: str, *, at_foot: bool = False) -> None:
        """One more page, under the others or at the foot of the rail."""
        button = QToolButton()
        number = len(self._group.buttons())
        button.setProperty("role", "rail")
        button.setText(word)
        button.setToolTip(f"{word} (Ctrl+{number + 1})")
        button.setAccessibleName(word)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setCheckable(True)
        button.setFixedSize(_BUTTON)
        set_icon(button, icon, size=20)
        self._group.addButton(button, number)
        place = self._column.count() if at_foot else number
        self._column.insertWidget(place, button, 0, Qt.AlignmentFlag.AlignHCenter)

    def choose(self, number: int) -> None:
        """Check a button without announcing it."""
        self._group.button(number).setChecked(True)
