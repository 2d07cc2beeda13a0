"""The workshop: Make (a recipe that makes a model smaller) and Compare (what came of it), and a switch between them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from ui.models.models_model import ModelsModel
from ui.workshop.compare_pane import ComparePane
from ui.workshop.recipe_pane import RecipePane

MAKE, COMPARE = range(2)
_WORDS = {MAKE: "Make", COMPARE: "Compare"}
_NARROW = 640
"""Logical pixels: below it the title gives way, which the rail says too."""
_TIPS = {
    MAKE: "Prune, recover and quantize a model by a recipe",
    COMPARE: "What was made of a model, in a table and in a plot",
}


class WorkshopPage(QWidget):
    """Two panes; each has its own controls beside the switch."""

    def __init__(self, models: ModelsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self.setMinimumWidth(1)  # the window's least size, and not what this page would like
        self.make, self.compare = RecipePane(models), ComparePane(models)
        self._heads, self._panes = QStackedWidget(), QStackedWidget()
        for pane in (self.make, self.compare):
            self._heads.addWidget(pane.head)
            self._panes.addWidget(pane)
        self.switch = QButtonGroup(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        column.addWidget(self._panes, 1)
        self.show_view(MAKE)

    @property
    def view(self) -> int:
        """MAKE or COMPARE."""
        return self._panes.currentIndex()

    def show_view(self, view: int) -> None:
        """Switch to one of the two."""
        self.switch.button(view).setChecked(True)
        self._heads.setCurrentIndex(view)
        self._panes.setCurrentIndex(view)

    def show_result(self, path: Path) -> None:
        """Compare, with this file chosen."""
        self.show_view(COMPARE)
        self.compare.choose(path)

    def _head(self) -> QHBoxLayout:
        title = self._title = QLabel("Workshop")
        title.setProperty("role", "title")
        row = QHBoxLayout()
        row.setContentsMargins(24, 16, 24, 8)
        row.setSpacing(16)
        row.addWidget(title)
        row.addLayout(self._switch_row())
        row.addWidget(self._heads, 1)
        return row

    def _switch_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        for view, word in _WORDS.items():
            button = QPushButton(word)
            button.setProperty("role", "quiet")
            button.setCheckable(True)
            button.setToolTip(_TIPS[view])
            self.switch.addButton(button, view)
            row.addWidget(button)
        self.switch.idClicked.connect(self.show_view)
        for keys, step in (("Ctrl+PgUp", MAKE), ("Ctrl+PgDown", COMPARE)):
            shortcut = QShortcut(QKeySequence(keys), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=step: self.show_view(step))
        return row

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._title.setVisible(self.width() >= _NARROW)
