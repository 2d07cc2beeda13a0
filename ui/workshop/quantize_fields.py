"""The fields of a quantize step: which files are made at the end."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from app.recipe.recipe import QuantizeStep
from ui.models.quantize_dialog import BEST_TYPES, TYPES
from ui.widgets.fields import check
from ui.workshop.step_fields import Field, StepFields

_USUAL = ("Q4_K_M", "Q4_0", "Q8_0")
_RARE = ("Q5_K_M", "Q6_K", "Q3_K_M", "Q2_K", "IQ4_XS", "BF16")
_COLUMNS = 3


class QuantizeFields(StepFields):
    """Of a QuantizeStep."""

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
        for number, name in enumerate(names):
            box = check(name, lambda on, name=name: self._on_type(name, on))
            box.setToolTip(TYPES.get(name, ""))
            self.types[name] = box
            grid.addWidget(box, number // _COLUMNS, number % _COLUMNS)
        grid.setColumnStretch(_COLUMNS, 1)
        return whole

    def _on_type(self, name: str, on: bool) -> None:
        chosen = {*self._step.types, name} if on else set(self._step.types) - {name}
        types = tuple(one for one in self.types if one in chosen)
        self.edit(types=types, best=self._step.best and self._may_be_best(types))

    @staticmethod
    def _may_be_best(types: tuple[str, ...]) -> bool:
        return bool(types) and set(types) <= set(BEST_TYPES)
