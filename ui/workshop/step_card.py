"""One step of a recipe: its number and kind, its fields, and beside them what it takes and what it will change."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.library.safetensors import FolderFacts
from app.recipe.messages import StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, RecoverStep, Step
from app.recover.messages import OVERNIGHT_TOKENS, SHORT_TOKENS, RecoverMethod
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.models.quantize_dialog import BEST_TYPES, TYPES
from ui.widgets.fields import ChoiceBox, check, number, show_number
from ui.workshop.prune_fields import PruneFields
from ui.workshop.recipe_words import RECOVER_WORDS, TEXT_WORDS, budget_words, cost_words, kind_of
from ui.workshop.step_fields import Field, StepFields

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


# The fields of a quantize step: which files are made at the end.


_USUAL = ("Q4_K_M", "Q4_0", "Q8_0")
_RARE = ("Q5_K_M", "Q6_K", "Q3_K_M", "Q2_K", "IQ4_XS", "BF16")
_COLUMNS = 3


class QuantizeFields(StepFields):
    """The fields of a QuantizeStep."""

    def __init__(self, step: QuantizeStep, parent: QWidget | None = None) -> None:
        super().__init__(step, parent)
        self.types: dict[str, QCheckBox] = {}
        rare = (*_RARE, *(name for name in step.types if name not in (*_USUAL, *_RARE)))
        self.types_field = self.add_first_row(Field(self._types(_USUAL)))
        self.calibrate = check("Weigh errors by what matters (importance matrix)", lambda on: self.edit(calibrate=on))
        self.calibrate_field = self.add_row("Rounding", Field(self.calibrate))
        self.best = check("Best: fold outliers, round again (AWQ, GPTQ)", lambda on: self.edit(best=on))
        self.best.setToolTip("About half the error in a file of the same size; slow")
        self.add_row("Other types", Field(self._types(rare), stretch=True), more=True)
        self.best_field = self.add_row("", Field(self.best), more=True)
        self.refresh()

    @property
    def problem(self) -> str:
        return "" if self._step.types else "Choose one at least."

    def refresh(self) -> None:
        step: QuantizeStep = self._step
        for name, box in self.types.items():
            box.setChecked(name in step.types)
        self.calibrate.setChecked(step.calibrate)
        self.best.setChecked(step.best)
        self.show_row(self.calibrate_field, not step.best)
        self.show_row(self.best_field, self._may_be_best(step.types))
        self.types_field.say(self.problem, "danger")

    def _types(self, names: tuple[str, ...]) -> QWidget:
        whole = QWidget()
        grid = QGridLayout(whole)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        for index, name in enumerate(names):
            box = check(name, lambda on, name=name: self._on_type(name, on))
            box.setToolTip(TYPES.get(name, ""))
            self.types[name] = box
            grid.addWidget(box, index // _COLUMNS, index % _COLUMNS)
        grid.setColumnStretch(_COLUMNS, 1)
        return whole

    def _on_type(self, name: str, on: bool) -> None:
        chosen = {*self._step.types, name} if on else set(self._step.types) - {name}
        types = tuple(one for one in self.types if one in chosen)
        self.edit(types=types, best=self._step.best and self._may_be_best(types))

    @staticmethod
    def _may_be_best(types: tuple[str, ...]) -> bool:
        return bool(types) and set(types) <= set(BEST_TYPES)


# The fields of a recover step: which weights learn, how long, from which text.


_ANOTHER = "another"
_QAT_WORDS = {"": "Full precision", "Q4_0": "On the grid of Q4_0 (quantization-aware)"}


class RecoverFields(StepFields):
    """The fields of a RecoverStep."""

    def __init__(self, step: RecoverStep, parent: QWidget | None = None) -> None:
        super().__init__(step, parent)
        self.method = ChoiceBox("Which weights learn", RECOVER_WORDS, lambda method: self.edit(method=method))
        self.add_first_row(Field(self.method))
        self.budget = ChoiceBox("How long", {}, lambda tokens: self.edit(budget_tokens=tokens))
        self.text = ChoiceBox("Text to learn from", {}, self._on_text)
        self.add_row("How long", Field(self.budget))
        self.text_field = self.add_row("On the text", Field(self.text))
        self._build_more()
        self.refresh()

    @property
    def problem(self) -> str:
        text = self._step.text
        if text in TEXT_WORDS or Path(text).is_file():
            return ""
        return "This file is not there."

    def refresh(self) -> None:
        step: RecoverStep = self._step
        self.method.choose(step.method)
        budgets = sorted({SHORT_TOKENS, OVERNIGHT_TOKENS, step.budget_tokens})
        self.budget.offer({tokens: budget_words(tokens) for tokens in budgets})
        self.budget.choose(step.budget_tokens)
        own = {} if step.text in TEXT_WORDS else {step.text: Path(step.text).name}
        self.text.offer(TEXT_WORDS | own | {_ANOTHER: "a file…"})
        self.text.choose(step.text)
        self.text_field.say(self.problem, "danger")
        self._refresh_more(step)

    def _build_more(self) -> None:
        self.quantized = ChoiceBox("Precision while learning", _QAT_WORDS, lambda t: self.edit(quantization_aware=t))
        self.quantized_field = self.add_row("Precision", Field(self.quantized), more=True)
        self.progressive = check("Short texts first, whole ones at the end", lambda on: self.edit(progressive=on))
        self.add_row("In steps", Field(self.progressive), more=True)
        self.temperature = number("Temperature", 0.1, 20, "", lambda value: self.edit(temperature=value), decimals=1)
        self.temperature_field = self.add_row("Temperature", Field(self.temperature), more=True)
        self.temperature_field.say("of the original’s choices: above 1, unlikely words count more")
        self.hard = number("Share of the text’s own words", 0, 100, " %", lambda v: self.edit(hard_loss=v / 100))
        self.hard_field = self.add_row("Hard loss", Field(self.hard), more=True)
        self.hard_field.say("of the text's own next words, which can do harm (cross-entropy)")
        self.rank = number("Rank", 1, 512, "", lambda value: self.edit(rank=value))
        self.rank_field = self.add_row("Rank", Field(self.rank), more=True)
        self.rank_field.say("of the added weights: more learns more, and takes more memory")

    def _refresh_more(self, step: RecoverStep) -> None:
        self.quantized.choose(step.quantization_aware)
        self.quantized_field.say("for a Q4_0 at the end" if step.quantization_aware else "")
        self.progressive.setChecked(step.progressive)
        show_number(self.temperature, step.temperature)
        show_number(self.hard, round(step.hard_loss * 100))
        show_number(self.rank, step.rank)
        self.show_row(self.rank_field, step.method is not RecoverMethod.FULL)

    def _on_text(self, value: str) -> None:
        if value == _ANOTHER:
            value, _ = QFileDialog.getOpenFileName(self, "Text to learn from", "", "Text (*.txt *.md);;All files (*)")
        if value:
            self.edit(text=value)
        self.refresh()
