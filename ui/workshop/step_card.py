"""One step of a recipe: its number and kind, its fields, and beside them what it takes and what it will change."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from app.library.safetensors import FolderFacts
from app.recipe.messages import StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, Step
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.workshop.prune_fields import PruneFields
from ui.workshop.quantize_fields import QuantizeFields
from ui.workshop.recipe_words import cost_words, kind_of
from ui.workshop.recover_fields import RecoverFields
from ui.workshop.step_fields import StepFields

_COST_WIDTH = 184
_FIRST_LINE = 6
"""So that it stands beside the words in the first field."""
_WAITS = "…"


class StepCard(QWidget):
    """Renders a step and its plan; announces what the user does with it."""

    changed = Signal()
    remove_requested = Signal()

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind_of(step)
        self.fields = _fields_of(step)
        self.fields.changed.connect(self.changed)
        self.remove = QToolButton()
        set_icon(self.remove, "trash-2", "text_secondary", 16)  # not the × with which a bar above goes away
        self.remove.setToolTip("Take this step out")
        self.remove.clicked.connect(self.remove_requested)
        self.time, self.memory, self.disk = _label("strong"), _label("secondary"), _label("secondary")
        for label in (self.time, self.memory, self.disk):
            label.setFont(text_font(tabular=True))
        self.cost_line = _label("strong")
        self.cost_line.hide()
        self.changes = _label("secondary")
        self.changes.setWordWrap(True)
        self._lay_out()
        self.set_number(1)
        self.wait()

    @property
    def step(self) -> Step:
        return self.fields.step

    @property
    def problem(self) -> str:
        """Why it cannot be carried out; "" where nothing is known against it."""
        return self.fields.problem

    def set_number(self, number: int) -> None:
        """Its place in the recipe, from 1."""
        self.fields.title.setText(f"{number}  {self.kind}")
        self.setAccessibleName(f"Step {number}: {self.kind}")
        self.remove.setAccessibleName(f"Take step {number} ({self.kind}) out")

    def set_facts(self, facts: FolderFacts | None) -> None:
        """The model it is for."""
        self.fields.set_facts(facts)

    def set_narrow(self, narrow: bool) -> None:
        """Put what it takes in one line below the fields, where there is no room beside them."""
        self._cost.setVisible(not narrow)
        self.cost_line.setVisible(narrow)

    def wait(self) -> None:
        """What it takes is being worked out. What it changes stays until the answer: the lines must not jump."""
        self._say(_WAITS, "", "")

    def show_nothing(self) -> None:
        """What it takes cannot be told."""
        self._say("", "", "")
        self.changes.setText("")

    def show_plan(self, plan: StepPlan) -> None:
        """What it takes, about, and what it will and will not change."""
        self._say(*cost_words(plan))
        self.changes.setText(plan.changes)

    def _say(self, time: str, memory: str, disk: str) -> None:
        self.time.setText(time)
        self.memory.setText(memory)
        self.disk.setText(disk)
        self.cost_line.setText(", ".join(words for words in (time, memory, disk) if words))

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.fields)
        left.addWidget(self.cost_line)
        left.addWidget(self.changes)
        left.addStretch()
        self._cost = QWidget()
        cost = QVBoxLayout(self._cost)
        cost.setContentsMargins(0, _FIRST_LINE, 0, 0)
        cost.setSpacing(4)
        for label in (self.time, self.memory, self.disk):
            label.setFixedWidth(_COST_WIDTH)
            cost.addWidget(label)
        cost.addStretch()
        row = QHBoxLayout()
        row.setContentsMargins(0, 8, 0, 12)
        row.setSpacing(16)
        row.addLayout(left, 1)
        row.addWidget(self._cost)
        row.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)
        line = QFrame()
        line.setProperty("role", "hairline")
        line.setFixedHeight(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        column.addLayout(row)


def _fields_of(step: Step) -> StepFields:
    if isinstance(step, PruneStep):
        return PruneFields(step)
    return QuantizeFields(step) if isinstance(step, QuantizeStep) else RecoverFields(step)


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    return label
