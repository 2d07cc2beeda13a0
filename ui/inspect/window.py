"""A window of its own for the inside of one model: its tensors on the left, one of them or all types on the right."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.inspect.messages import Inside, LookAtTensor, LookInside, TensorLook, TensorRow, TypesSuggested
from app.library.library import ModelEntry
from app.operation import Progress
from ui.inspect.suggestion_view import SuggestionView
from ui.inspect.tensor_list import TensorList
from ui.inspect.tensor_view import TensorView
from ui.widgets.focus import stay_around

_SETTLE_MS = 120
"""The arrow keys may run over many rows: the one that they stop at is read."""
_NOT_NOW = "Types are suggested for models in 16 bits: what this one would mind cannot be seen on it any more."
_TENSOR, _TYPES = range(2)


class InsideWindow(QDialog):
    """Asks and shows; does nothing itself."""

    asked = Signal(object)
    """LookInside or LookAtTensor"""
    suggestion_requested = Signal(str, float)
    cancel_requested = Signal()
    use_requested = Signal(object)
    """TypesSuggested"""

    def __init__(self, entry: ModelEntry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry = entry
        self._row: TensorRow | None = None
        self.setWindowTitle(f"Inside {entry.name}")
        self.resize(1160, 660)
        self.list, self.view, self.types = TensorList(), TensorView(), SuggestionView()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.types)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._ask_row)
        self.list.chosen.connect(self._on_chosen)
        self.view.inputs_requested.connect(self._on_inputs)
        self.view.again_requested.connect(self.begin)
        self.types.measure_requested.connect(self.suggestion_requested)
        self.types.cancel_requested.connect(self.cancel_requested)
        self.types.use_requested.connect(self.use_requested)
        if not entry.can_quantize:
            self.types.refuse(_NOT_NOW)
        self._lay_out()

    def begin(self) -> None:
        """Ask for the list."""
        if self._row is not None:
            self._ask_row()
            return
        self.list.setEnabled(False)
        self.suggest.setEnabled(False)
        self.view.say("Reading the list of tensors…", "")
        self.asked.emit(LookInside(self._entry.path))

    def show_list(self, inside: Inside) -> None:
        if inside.path != self._entry.path:
            return
        self.list.setEnabled(True)
        self.suggest.setEnabled(True)
        self.list.show_tensors(inside.tensors)
        if not inside.tensors:
            self.view.say("There are no tensors", "The file has a header and nothing in it.")
            return
        count = f"{len(inside.tensors):,} tensors."
        self.view.say(
            "Choose a tensor", f"{count} Its weights, and what storing them in fewer bits would do, appear here."
        )
        self.list.filter.setFocus()

    def show_look(self, look: TensorLook) -> None:
        """Ignored where another tensor has been chosen since."""
        if look.path == self._entry.path and self._row is not None and look.tensor.name == self._row.name:
            self.view.show_look(look, can_read_inputs=not self._entry.is_folder and self._entry.can_load)

    def refuse(self, question: LookInside | LookAtTensor, sentence: str) -> None:
        """Why there is nothing to see."""
        if question.model != self._entry.path:
            return
        whole = isinstance(question, LookInside)
        self.view.say("This model cannot be read" if whole else "This tensor cannot be read", sentence, again=True)

    def show_progress(self, progress: Progress | None) -> None:
        self.types.show_progress(progress)

    def show_suggestion(self, found: TypesSuggested) -> None:
        self.types.show_result(found)

    def show_no_suggestion(self, sentence: str) -> None:
        """It failed or was cancelled."""
        self.types.show_ready(sentence)

    def show_types(self) -> None:
        """The page about types for all tensors."""
        self._settle.stop()
        self.pages.setCurrentIndex(_TYPES)

    def _on_chosen(self, row: TensorRow) -> None:
        self._row = row
        self.pages.setCurrentIndex(_TENSOR)
        self.view.wait(row)
        self._settle.start()

    def _ask_row(self) -> None:
        if self._row is not None:
            self.view.wait(self._row)
            self.asked.emit(LookAtTensor(self._entry.path, self._row.name))

    def _on_inputs(self, row: TensorRow) -> None:
        self.view.wait(row, "Loading the model and reading some text with it…")
        self.asked.emit(LookAtTensor(self._entry.path, row.name, inputs=True))

    def _lay_out(self) -> None:
        self.suggest = QPushButton("Suggest types…")
        self.suggest.setToolTip("Measure which tensors mind few bits, and give those better types")
        self.suggest.setAutoDefault(False)
        self.suggest.clicked.connect(self.show_types)
        close = QPushButton("Close")
        close.setAutoDefault(False)
        close.clicked.connect(self.close)
        splitter = QSplitter()
        splitter.setChildrenCollapsible(False)
        for number, (widget, width) in enumerate(((self.list, 440), (self.pages, 680))):
            side = QWidget()
            box = QHBoxLayout(side)
            box.setContentsMargins(0 if number == 0 else 16, 0, 16 if number == 0 else 0, 0)
            box.addWidget(widget)
            side.setMinimumWidth(width * 3 // 4)
            splitter.addWidget(side)
            splitter.setStretchFactor(number, number)
        splitter.setSizes([440, 680])
        buttons = QHBoxLayout()
        buttons.addWidget(self.suggest)
        buttons.addStretch()
        buttons.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(12)
        column.addWidget(splitter, 1)
        column.addLayout(buttons)

    # Qt overrides

    def focusNextPrevChild(self, forward: bool) -> bool:
        return stay_around(self) or super().focusNextPrevChild(forward)
