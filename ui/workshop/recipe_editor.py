"""A recipe as a list of step cards, with its name, the ones to start from, and files to open and save."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.library.safetensors import FolderFacts
from app.recipe.messages import StepPlan
from app.recipe.recipe import MAX_NAME, Recipe, Step
from ui.look.icons import set_icon
from ui.workshop.recipe_choices import in_order, new_step
from ui.workshop.recipe_words import PRUNE, QUANTIZE, RECOVER
from ui.workshop.step_card import StepCard
from ui.workshop.step_fields import WORD_WIDTH

_FILES = "Recipe (*.toml)"
_NARROW = 760
"""Logical pixels: below it what a step takes stands under its fields."""
_ADD_TIPS = {
    PRUNE: "Take something away",
    RECOVER: "Let what is left learn from the original",
    QUANTIZE: "Make files to chat with",
}


class RecipeEditor(QWidget):
    """Announces every change; reads and writes no file itself."""

    changed = Signal()
    open_requested = Signal(Path)
    """Path of a recipe's file"""
    save_requested = Signal(Path)
    """Path to write it to"""

    def __init__(self, built_in: Sequence[Recipe], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._facts: FolderFacts | None = None
        self._narrow = False
        self.cards: list[StepCard] = []
        self.name = QLineEdit(maxLength=MAX_NAME, placeholderText="Name of the recipe")
        self.name.setAccessibleName("Name of the recipe")
        self.name.textEdited.connect(lambda _text: self.changed.emit())
        self.start = QPushButton("Start from")
        self.start.setToolTip("A recipe that comes with Bantam, in the place of this one")
        self.start.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the chevron stands after the words
        set_icon(self.start, "chevron-down", "text_secondary", 16)
        self.start.setMenu(self._menu(built_in))
        self.open, self.save = QPushButton("Open…"), QPushButton("Save…")
        self.open.setToolTip("Open a recipe from a file")
        self.save.setToolTip("Save this recipe as a file: “bantam” in a terminal reads it too")
        self.open.clicked.connect(self._on_open)
        self.save.clicked.connect(self._on_save)
        self.none = QLabel("No step yet. Add one, or start from a recipe that comes with Bantam.")
        self.none.setProperty("role", "secondary")
        self.none.setContentsMargins(0, 16, 0, 16)
        self.add: dict[str, QPushButton] = {}
        self._lay_out()
        if built_in:
            self.show_recipe(built_in[0])

    @property
    def recipe(self) -> Recipe:
        """The recipe as it stands now; it may be one that cannot be carried out."""
        return Recipe(self.name.text().strip(), tuple(card.step for card in self.cards))

    @property
    def problem(self) -> str:
        """What a card says against its own step, the first of them; "" where none does."""
        return next((card.problem for card in self.cards if card.problem), "")

    def show_recipe(self, recipe: Recipe) -> None:
        """Show a recipe in the place of the one that is shown."""
        self.name.setText(recipe.name)
        self.name.setCursorPosition(0)
        self._show_steps(recipe.steps)

    def set_facts(self, facts: FolderFacts | None) -> None:
        """The model that the recipe is for."""
        self._facts = facts
        for card in self.cards:
            card.set_facts(facts)

    def wait(self) -> None:
        """Costs are being worked out."""
        for card in self.cards:
            card.wait()

    def show_plans(self, plans: Sequence[StepPlan]) -> None:
        """Each beside its step; none where nothing can be told."""
        for number, card in enumerate(self.cards):
            card.show_plan(plans[number]) if len(plans) == len(self.cards) else card.show_nothing()

    def add_step(self, kind: str) -> None:
        """One more step at its place in the order."""
        step = new_step(kind)
        self._show_steps(in_order((*(card.step for card in self.cards), step)))
        card = next(card for card in reversed(self.cards) if card.kind == kind)
        card.fields.setFocus()
        self.area.ensureWidgetVisible(card)
        self.changed.emit()

    def _show_steps(self, steps: Sequence[Step]) -> None:
        """The cards that show one of these steps already stay: what is open in them stays open."""
        before = list(self.cards)
        self.cards = []
        for step in steps:
            same = next((card for card in before if card.step is step), None)
            if same is not None:
                before.remove(same)
            self.cards.append(same or self._card(step))
        for card in before:
            card.hide()
            card.deleteLater()
        for number, card in enumerate(self.cards):
            self._column.insertWidget(number, card)
            card.set_number(number + 1)
            QWidget.setTabOrder(self.cards[number - 1] if number else self.save, card)
        self.none.setVisible(not self.cards)

    def _card(self, step: Step) -> StepCard:
        card = StepCard(step)
        card.set_facts(self._facts)
        card.set_narrow(self._narrow)
        card.changed.connect(self.changed)
        card.remove_requested.connect(lambda: self._on_remove(card))
        return card

    def _on_remove(self, gone: StepCard) -> None:
        number = self.cards.index(gone)
        self._show_steps([card.step for card in self.cards if card is not gone])
        next_one = self.cards[min(number, len(self.cards) - 1)].remove if self.cards else self.add[gone.kind]
        next_one.setFocus()
        self.changed.emit()

    def _on_open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a recipe", "", _FILES)
        if name:
            self.open_requested.emit(Path(name))

    def _on_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the recipe", f"{_file_name(self.name.text())}.toml", _FILES)
        if name:
            self.save_requested.emit(Path(name))

    def _on_start(self, recipe: Recipe) -> None:
        self.show_recipe(recipe)
        self.changed.emit()

    def _menu(self, built_in: Sequence[Recipe]) -> QMenu:
        menu = QMenu(self)
        for recipe in built_in:
            menu.addAction(recipe.name, partial(self._on_start, recipe))
        return menu

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(24, 0, 24, 8)
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        for button in (self.start, self.open, self.save):
            head.addWidget(button)
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(24, 0, 24, 8)
        self._column.setSpacing(0)
        self._column.addWidget(self.none)
        self._column.addLayout(self._add_row())
        self._column.addStretch()
        self.area = QScrollArea(widgetResizable=True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(inside)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.area, 1)

    def _add_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        row.setSpacing(8)
        word = QLabel("Add a step")
        word.setProperty("role", "secondary")
        word.setFixedWidth(WORD_WIDTH)
        row.addWidget(word)
        for kind, tip in _ADD_TIPS.items():
            button = QPushButton(kind)
            button.setProperty("role", "quiet")
            button.setToolTip(tip)
            button.setAccessibleName(f"Add a step: {kind}")
            set_icon(button, "plus", "text_secondary", 16)
            button.clicked.connect(lambda _checked=False, kind=kind: self.add_step(kind))
            self.add[kind] = button
            row.addWidget(button)
        row.addStretch()
        return row

    # Qt overrides

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        if narrow != self._narrow:
            self._narrow = narrow
            for card in self.cards:
                card.set_narrow(narrow)


def _file_name(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in " -_" else "" for letter in name)
    return "-".join(kept.lower().split()) or "recipe"
