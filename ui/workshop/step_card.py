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
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.library.safetensors import FolderFacts
from app.prune.messages import SPARSE, PruneMethod
from app.recipe.messages import StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, RecoverStep, Step
from app.recover.messages import OVERNIGHT_TOKENS, SHORT_TOKENS, RecoverMethod
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.models.quantize_dialog import BEST_TYPES, TYPES
from ui.widgets.fields import ChoiceBox, check, number, show_number
from ui.workshop.recipe_choices import (
    GOOD_MULTIPLE,
    LEAST_MULTIPLE,
    count_of,
    first_step,
    most_taken,
    prune_problem,
    width_of,
    widths,
)
from ui.workshop.recipe_words import (
    IMPORTANCE_WORDS,
    NARROW_WARNING,
    PATTERN_WORDS,
    PRUNE_WORDS,
    RECOVER_WORDS,
    TEXT_WORDS,
    budget_words,
    cost_words,
    cut_words,
    kind_of,
    less_words,
)
from ui.workshop.step_fields import Field, StepFields

# The fields of a prune step: what is taken away and how much of it, as the numbers of the chosen model.


_REFITTED = frozenset({PruneMethod.FFN, PruneMethod.KV_GROUPS})
_PATTERNED = SPARSE - {PruneMethod.GLOBAL_MAGNITUDE}


class PruneFields(StepFields):
    """The fields of a PruneStep."""

    def __init__(self, step: PruneStep, parent: QWidget | None = None) -> None:
        super().__init__(step, parent)
        self._build_amounts()
        self._build_more()
        self.refresh()

    @property
    def problem(self) -> str:
        return prune_problem(self._step, self._facts)

    def refresh(self) -> None:
        step: PruneStep = self._step
        self.method.choose(step.method)
        self.method_field.say(self.problem, "danger")
        self._refresh_amounts(step)
        self._refresh_more(step)

    def _build_amounts(self) -> None:
        self.method = ChoiceBox("What is taken away", PRUNE_WORDS, self._on_method)
        self.method_field = self.add_first_row(Field(self.method))
        self.width_left = ChoiceBox("Width that is left", {}, self._on_width)
        self.width_field = self.add_row("Width", Field(self.width_left))
        self.count = number("How many are taken", 1, 1, "", self._on_count)
        self.count_field = self.add_row("How many", Field(self.count))
        self.share = number("Share that is taken", 1, 95, " %", lambda value: self.edit(amount=value / 100))
        self.share_field = self.add_row("How much", Field(self.share))
        self.pattern = ChoiceBox("Where the zeros are", PATTERN_WORDS, self._on_pattern)
        self.pattern_field = self.add_row("Zeros", Field(self.pattern))

    def _build_more(self) -> None:
        self.refit = check("Fit what remains to what was (least squares)", lambda on: self.edit(refit=on))
        self.refit.setToolTip("Costs minutes and is worth more than a short training: leave it on")
        self.refit_too = check("Gate and up projections, in turn with it", lambda on: self.edit(refit_gate_up=on))
        self.refit_too.setToolTip("Nearer to what was; pruning takes several times as long")
        self.per_layer = check("Other widths in each layer, by importance", lambda on: self.edit(per_layer=on))
        self.per_layer.setToolTip("llama.cpp reads the result, transformers does not")
        self.narrow = check("Offer widths between (multiples of 32)", self._on_narrow)
        self.narrow_field = self.add_row("Widths", Field(self.narrow), more=True)
        self.refit_field = self.add_row("After the cut", Field(self.refit), more=True)
        self.refit_too_field = self.add_row("Fit also", Field(self.refit_too), more=True)
        self.per_layer_field = self.add_row("Layers", Field(self.per_layer), more=True)
        self.importance = ChoiceBox("How layers are chosen", IMPORTANCE_WORDS, lambda one: self.edit(importance=one))
        self.importance_field = self.add_row("Chosen by", Field(self.importance), more=True)
        self.rounds = number("Rounds", 1, 10, "", lambda value: self.edit(rounds=value))
        self.rounds_field = self.add_row("Rounds", Field(self.rounds), more=True)
        self.rewind_field = self.add_row("Rewind to", self._rewind_row(), more=True)

    def _rewind_row(self) -> Field:
        self.rewind_words = QLabel()
        self.rewind_words.setWordWrap(True)
        self.rewind_choose, self.rewind_clear = QPushButton("Choose a folder…"), QPushButton("None")
        self.rewind_choose.setToolTip("The same model early in its training (lottery ticket): its weights are taken")
        self.rewind_choose.clicked.connect(self._on_rewind)
        self.rewind_clear.clicked.connect(lambda: self.edit(rewind=""))
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.rewind_choose)
        row.addWidget(self.rewind_clear)
        row.addWidget(self.rewind_words, 1)
        return Field(both, stretch=True)

    def _refresh_amounts(self, step: PruneStep) -> None:
        facts, method = self._facts, step.method
        full = facts.ffn_width if facts is not None and method is PruneMethod.FFN else 0
        most = most_taken(method, facts) if facts is not None and method not in SPARSE else 0
        counted = most > 0 and method in (PruneMethod.LAYERS, PruneMethod.KV_GROUPS)
        fixed = bool(step.pattern)
        self.show_row(self.width_field, bool(full and not self.problem))
        self.show_row(self.count_field, counted)
        self.show_row(self.share_field, not full and not counted and not fixed and not self.problem)
        self.show_row(self.pattern_field, method in _PATTERNED)
        self.pattern.choose(step.pattern)
        show_number(self.share, round(step.amount * 100))
        if full and not self.problem:
            self._refresh_width(step, full)
        if counted and facts is not None:
            self._refresh_count(step, facts.layers if method is PruneMethod.LAYERS else facts.kv_heads, most)

    def _refresh_width(self, step: PruneStep, full: int) -> None:
        chosen = width_of(full, step.amount, step.width_multiple)
        offered = sorted({*widths(full, step.width_multiple), chosen}, reverse=True)
        self.width_left.offer({width: cut_words(full, width) for width in offered})
        self.width_left.choose(chosen)
        narrow = chosen % GOOD_MULTIPLE != 0
        self.width_field.say(NARROW_WARNING if narrow else "", "warning" if narrow else "caption")

    def _refresh_count(self, step: PruneStep, full: int, most: int) -> None:
        what = "layers" if step.method is PruneMethod.LAYERS else "groups"
        count = count_of(full, step.amount, most)
        show_number(self.count, count, most=most, suffix=f" of {full} {what}")
        left = f"{full - count} are left, {less_words(full, full - count)}"
        kept_first = " (the first one always)" if step.method is PruneMethod.LAYERS else ""
        self.count_field.say(left + kept_first)

    def _refresh_more(self, step: PruneStep) -> None:
        method, structured = step.method, step.method not in SPARSE
        for field, visible in (
            (self.narrow_field, method is PruneMethod.FFN),
            (self.refit_field, method in _REFITTED),
            (self.refit_too_field, method is PruneMethod.FFN and step.refit),
            (self.per_layer_field, method in _REFITTED),
            (self.importance_field, method is PruneMethod.LAYERS),
            (self.rounds_field, structured),
            (self.rewind_field, not structured),
        ):
            self.show_row(field, visible)
        self.refit.setChecked(step.refit)
        self.refit_too.setChecked(step.refit_gate_up)
        self.per_layer.setChecked(step.per_layer)
        self.narrow.setChecked(step.width_multiple < GOOD_MULTIPLE)
        self.importance.choose(step.importance)
        show_number(self.rounds, step.rounds, suffix=" round" if step.rounds == 1 else " rounds")
        self.rounds_field.say("" if step.rounds == 1 else "a part at a time, a short training after each")
        self.rewind_clear.setVisible(bool(step.rewind))
        self.rewind_words.setText(Path(step.rewind).name if step.rewind else "The weights stay as trained")
        self.rewind_words.setToolTip(step.rewind)

    def _on_method(self, method: PruneMethod) -> None:
        if method is not self._step.method:
            begun = first_step(method)
            keeps_amount = {method, self._step.method} <= SPARSE
            self.edit(
                method=method, amount=self._step.amount if keeps_amount else begun.amount,
                pattern=self._step.pattern if method in _PATTERNED else "", per_layer=False,
                rounds=1 if method in SPARSE else self._step.rounds,
                rewind=self._step.rewind if method in SPARSE else "", width_multiple=begun.width_multiple,
            )  # fmt: skip

    def _on_width(self, width: int) -> None:
        assert self._facts is not None
        self.edit(amount=1 - width / self._facts.ffn_width)

    def _on_count(self, count: int) -> None:
        assert self._facts is not None
        full = self._facts.layers if self._step.method is PruneMethod.LAYERS else self._facts.kv_heads
        self.edit(amount=count / full)

    def _on_pattern(self, pattern: str) -> None:
        self.edit(pattern=pattern, amount=0.5 if pattern else self._step.amount)

    def _on_narrow(self, on: bool) -> None:
        self.edit(width_multiple=LEAST_MULTIPLE if on else GOOD_MULTIPLE)

    def _on_rewind(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "The same model early in its training"):
            self.edit(rewind=name)


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
