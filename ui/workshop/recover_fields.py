"""The fields of a recover step: which weights learn, how long, from which text."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.recipe.recipe import RecoverStep
from app.recover.messages import OVERNIGHT_TOKENS, SHORT_TOKENS, RecoverMethod
from ui.widgets.fields import ChoiceBox, check, number, show_number
from ui.workshop.recipe_words import RECOVER_WORDS, TEXT_WORDS, budget_words
from ui.workshop.step_fields import Field, StepFields

_ANOTHER = "another"
_QAT_WORDS = {"": "Full precision", "Q4_0": "On the grid of Q4_0 (quantization-aware)"}


class RecoverFields(StepFields):
    """Of a RecoverStep."""

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
