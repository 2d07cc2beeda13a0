"""The fields of a prune step: what is taken away and how much of it, as the numbers of the chosen model."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from app.prune.messages import SPARSE, PruneMethod
from app.recipe.recipe import PruneStep
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
from ui.workshop.recipe_words import IMPORTANCE_WORDS, NARROW_WARNING, PATTERN_WORDS, PRUNE_WORDS, cut_words, less_words
from ui.workshop.step_fields import Field, StepFields

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
