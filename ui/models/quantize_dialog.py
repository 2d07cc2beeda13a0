"""What the two buttons of quantizing leave out: types, importance matrix, best rounding, names, threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.fit.verdict import ms_text
from app.library.library import ModelEntry
from app.quantize.messages import Offers, Quantize, TensorOverride
from app.quantize.outputs import default_output
from ui.models.make_smaller import calibrates
from ui.words import size, time_left

TYPES = {
    "Q4_K_M": "the usual choice",
    "Q8_0": "nothing lost that can be noticed",
    "Q6_K": "very close to the source",
    "Q5_K_M": "close to the source",
    "Q5_K_S": "a little smaller",
    "Q4_K_S": "a little smaller than Q4_K_M",
    "Q4_0": "fastest of the four-bit types on most processors",
    "Q4_1": "between Q4_0 and Q5_0",
    "Q5_0": "older five-bit type",
    "Q5_1": "older five-bit type",
    "IQ4_NL": "small, slower to answer",
    "IQ4_XS": "the smallest good four-bit type",
    "Q3_K_L": "can be noticed",
    "Q3_K_M": "can be noticed",
    "Q3_K_S": "can be noticed well",
    "IQ3_M": "with an importance matrix only a little worse than four bits",
    "IQ3_S": "three bits",
    "IQ3_XS": "needs an importance matrix",
    "IQ3_XXS": "needs an importance matrix",
    "Q2_K": "much is lost",
    "Q2_K_S": "needs an importance matrix; much is lost",
    "IQ2_M": "needs an importance matrix; much is lost",
    "IQ2_S": "needs an importance matrix; much is lost",
    "IQ2_XS": "needs an importance matrix; most is lost",
    "IQ2_XXS": "needs an importance matrix; most is lost",
    "IQ1_M": "needs an importance matrix; hardly usable",
    "IQ1_S": "needs an importance matrix; hardly usable",
    "TQ1_0": "for models trained with three values",
    "TQ2_0": "for models trained with three values",
    "F16": "16 bits",
    "BF16": "16 bits, as most models are trained",
    "F32": "32 bits",
}
"""llama.cpp's types in plain words."""
BEST_TYPES = ("Q4_0", "Q4_K_M")
_TYPE, _SIZE, _MEMORY, _SPEED, _WORDS = range(5)


class QuantizeDialog(QDialog):
    """The dialog for one model. `requested` announces what is to be made when it is accepted."""

    requested = Signal(tuple)
    """tuple of Quantize"""

    def __init__(self, entry: ModelEntry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry = entry
        self.setWindowTitle(f"Make {entry.name} smaller")
        self.resize(680, 620)
        self._build_table()
        self._build_options()
        self._lay_out()
        self._on_changed()

    def show_offers(self, offers: Offers) -> None:
        """Fill in the columns."""
        if offers.source != self._entry.path:
            return
        for offer in offers.offers:
            if (item := self._items.get(offer.type)) is not None:
                item.setText(_SIZE, size(offer.size_bytes))
                item.setText(_MEMORY, size(offer.need.resident_bytes))
                item.setText(_SPEED, "" if offer.ms_per_token is None else ms_text(offer.ms_per_token))
        if offers.calibration_seconds:
            words = f"Weigh errors by what matters (importance matrix, about {time_left(offers.calibration_seconds)})"
            self.calibrate.setText(words)
            if not self.best.isChecked():
                self.calibrate.setChecked(calibrates(offers))

    def fill_in(self, type: str, overrides: Sequence[TensorOverride]) -> None:
        """Tick this mixture alone, and name other types for tensors."""
        for name, item in self._items.items():
            item.setCheckState(_TYPE, Qt.CheckState.Checked if name == type else Qt.CheckState.Unchecked)
        self.tensors.setText(", ".join(f"{override.pattern}={override.type}" for override in overrides))
        self.tensors.setCursorPosition(0)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The types that are ticked."""
        return tuple(name for name, item in self._items.items() if item.checkState(_TYPE) is Qt.CheckState.Checked)

    def requests(self) -> tuple[Quantize, ...]:
        """What is to be made, as the fields say now. Raises ValueError for what they cannot mean."""
        source, best = self._entry.path, self.best.isChecked()
        request = Quantize(
            source,
            default_output(source, ""),
            "",
            calibrate=self.calibrate.isChecked() and not best,
            overrides=_overrides(self.tensors.text()),
            threads=self.threads.value(),
            keep_intermediate=self.keep.isChecked(),
            best=best,
        )
        made = []
        for kind in self.chosen:
            output = default_output(source, kind, best=best)
            if self.name.isEnabled() and self.name.text().strip():
                output = output.with_name(self.name.text().strip().removesuffix(".gguf") + ".gguf")
            made.append(replace(request, type=kind, output=output))
        return tuple(made)

    def accept(self) -> None:
        try:
            requests = self.requests()
        except ValueError as error:
            self.trouble.setText(str(error))
            self.trouble.show()
            return
        self.requested.emit(requests)
        super().accept()

    def _on_changed(self) -> None:
        chosen = self.chosen
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(chosen))
        self.name.setEnabled(len(chosen) == 1)
        if len(chosen) == 1:
            self.name.setPlaceholderText(default_output(self._entry.path, chosen[0], best=self.best.isChecked()).name)
        possible = bool(chosen) and set(chosen) <= set(BEST_TYPES)
        self.best.setEnabled(possible)
        if not possible:
            self.best.setChecked(False)
        self.calibrate.setEnabled(not self.best.isChecked())

    def _build_table(self) -> None:
        self.table = QTreeWidget()
        self.table.setRootIsDecorated(False)
        self.table.setAccessibleName("Types")
        self.table.setHeaderLabels(["Type", "Size", "Memory", "A token", ""])
        self._items: dict[str, QTreeWidgetItem] = {}
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for name, words in TYPES.items():
            item = QTreeWidgetItem(self.table, [name, "", "", "", words])
            item.setCheckState(_TYPE, Qt.CheckState.Checked if name == "Q4_K_M" else Qt.CheckState.Unchecked)
            for column in (_SIZE, _MEMORY, _SPEED):
                item.setTextAlignment(column, right)
            self._items[name] = item
        header = self.table.header()
        for column, width in ((_TYPE, 120), (_SIZE, 80), (_MEMORY, 80), (_SPEED, 80)):
            header.resizeSection(column, width)
            self.table.headerItem().setTextAlignment(column, Qt.AlignmentFlag.AlignLeft if not column else right)
        header.setSectionResizeMode(_WORDS, QHeaderView.ResizeMode.Stretch)
        self.table.itemChanged.connect(lambda *_: self._on_changed())

    def _build_options(self) -> None:
        self.calibrate = QCheckBox("Weigh errors by what matters (importance matrix)")
        self.best = QCheckBox("Best rounding: fold outliers, round again (slow; Q4_0 and Q4_K_M only)")
        self.best.toggled.connect(lambda _on: self._on_changed())
        self.best.setToolTip(
            "About half the error in a file of the same size; slow: about half an hour for each billion weights"
        )
        self.keep = QCheckBox("Keep the 16-bit file that is made on the way")
        self.keep.setVisible(self._entry.is_folder)
        self.name = QLineEdit()
        self.tensors = QLineEdit(placeholderText="ffn_down=Q6_K, attn_v=Q8_0")
        self.threads = QSpinBox(minimum=0, maximum=256)
        self.threads.setSpecialValueText("all cores")
        self.threads.lineEdit().setTextMargins(6, 0, 0, 0)  # a style sheet's padding does not reach the text
        self.trouble = QLabel()
        self.trouble.setProperty("role", "danger")
        self.trouble.setWordWrap(True)
        self.trouble.hide()

    def _lay_out(self) -> None:
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        make = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        make.setText("Make")
        make.setProperty("role", "primary")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.addRow("File name", self.name)
        form.addRow("Other types for tensors", self.tensors)
        form.addRow("Threads", self.threads)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        column.addWidget(self.table, 1)
        for widget in (self.calibrate, self.best, self.keep):
            column.addWidget(widget)
        column.addLayout(form)
        column.addWidget(self.trouble)
        column.addWidget(self.buttons)


def _overrides(text: str) -> tuple[TensorOverride, ...]:
    """ "ffn_down=Q6_K, attn_v=Q8_0". Raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        pattern, _, kind = part.rpartition("=")
        if not pattern.strip() or not kind.strip():
            raise ValueError(f"“{part}” is not a name and a type, as in ffn_down=Q6_K.")
        found.append(TensorOverride(pattern.strip(), kind.strip().upper()))
    return tuple(found)
