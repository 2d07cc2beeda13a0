"""A row that goes on in a second line where it has not the width: no button is narrower than its words."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget

_SPACING = 8


class ButtonRow(QLayout):
    """Left to right, each as wide as it likes to be. `ends_right`: the last one stands at the right end of its line."""

    def __init__(self, *buttons: QWidget, ends_right: bool = False) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []
        self._ends_right = ends_right
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(_SPACING)
        for button in buttons:
            self.addWidget(button)

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        lines: list[list[QLayoutItem]] = [[]]
        room = width
        for item in self._items:
            if item.isEmpty():  # hidden
                continue
            wanted = item.sizeHint().width()
            if lines[-1] and wanted > room:
                lines.append([])
                room = width
            lines[-1].append(item)
            room -= wanted + self.spacing()
        return lines

    def _place(self, line: list[QLayoutItem], area: QRect, top: int) -> None:
        left = area.left()
        for item in line:
            wanted = item.sizeHint().boundedTo(QSize(area.width(), item.sizeHint().height()))
            right = self._ends_right and item is self._items[-1]
            at = area.right() + 1 - wanted.width() if right else left
            item.setGeometry(QRect(QPoint(at, top), wanted))
            left = at + wanted.width() + self.spacing()

    # Qt overrides

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        heights = [_height(line) for line in self._lines(width)]
        return sum(heights) + self.spacing() * (len(heights) - 1)

    def setGeometry(self, area: QRect) -> None:
        super().setGeometry(area)
        top = area.top()
        for line in self._lines(area.width()):
            self._place(line, area, top)
            top += _height(line) + self.spacing()

    def sizeHint(self) -> QSize:
        shown = [item.sizeHint().width() for item in self._items if not item.isEmpty()]
        return QSize(sum(shown) + self.spacing() * max(0, len(shown) - 1), _height(self._items))

    def minimumSize(self) -> QSize:
        """The widest: the others go below it."""
        shown = [item.minimumSize().width() for item in self._items if not item.isEmpty()]
        return QSize(max(shown, default=0), _height(self._items))


def _height(line: list[QLayoutItem]) -> int:
    return max((item.sizeHint().height() for item in line if not item.isEmpty()), default=0)
