"""Types for all tensors by measured sensitivity: what it is, how far it is, what came of it, handing it on."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.inspect.messages import TypesSuggested
from app.operation import Progress
from app.operation_words import STAGE_WORDS
from app.units import grouped, percent
from ui.inspect.words import suggestion_words
from ui.words import time_left

_EXPLAINED = (
    "Not every tensor minds being stored in few bits as much. Each group of them is stored in 4 bits alone, and what "
    "the model thinks of a text is compared with what it thought before. Those that cost most get better types, the "
    "others cheaper ones, at the size of the usual mixture. Then both files are made and compared on another text, so "
    "that you see whether it was worth it. About 2,000 tokens are read for each of some twenty groups: minutes for a "
    "small model, long for a large one."
)
TYPES = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q3_K_M")
_GROUP, _WEIGHTS, _COST, _USUAL, _SUGGESTED = range(5)


class SuggestionView(QWidget):
    """Announces what is wanted; does nothing itself."""

    measure_requested = Signal(str, float)
    """Mixture, and the extra share of its size"""
    cancel_requested = Signal()
    use_requested = Signal(TypesSuggested)
    """TypesSuggested"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: TypesSuggested | None = None
        self.kind, self.extra = QComboBox(), QSpinBox(minimum=0, maximum=50, suffix=" %")
        self.kind.addItems(TYPES)
        self.kind.setAccessibleName("Mixture to compete with")
        self.extra.setAccessibleName("How much larger the file may be")
        self.extra.lineEdit().setTextMargins(6, 0, 0, 0)  # a style sheet's padding does not reach the text
        self.start = QPushButton("Measure")
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(
            lambda: self.measure_requested.emit(self.kind.currentText(), self.extra.value() / 100)
        )
        self.stop = QPushButton("Cancel")
        self.stop.clicked.connect(self.cancel_requested)
        self.bar = QProgressBar(minimum=0, maximum=1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the measurement")
        self.words, self.trouble, self.verdict = _label("secondary"), _label("danger"), _label("strong")
        self.use = QPushButton("Use these types…")
        self.use.setProperty("role", "primary")
        self.use.setToolTip("Open the list of all types with these filled in")
        self.use.clicked.connect(lambda: self.use_requested.emit(self._found))
        self._build_table()
        self._lay_out()
        self.show_ready()

    def show_ready(self, trouble: str = "") -> None:
        """Nothing runs. `trouble` says why the last one came to nothing."""
        self._show(busy=False)
        self.trouble.setText(trouble)
        self.trouble.setVisible(bool(trouble))

    def refuse(self, words: str) -> None:
        """It cannot be done for this model."""
        self.show_ready(words)
        for widget in (self.start, self.kind, self.extra):
            widget.setEnabled(False)

    def show_progress(self, progress: Progress | None) -> None:
        """It is being measured, or waits until other jobs are done."""
        self._show(busy=True)
        self.trouble.hide()
        if progress is None:
            self.bar.setRange(0, 0)
            self.words.setText("Waiting for its turn…")
            return
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        left = f", {time_left(progress.seconds_left)} left of this step" if progress.seconds_left else ""
        self.words.setText(f"{STAGE_WORDS[progress.stage]}: {progress.done} of {progress.total}{left}")

    def show_result(self, found: TypesSuggested) -> None:
        """The verdict and the table."""
        self._found = found
        self.show_ready()
        self.verdict.setText(f"{'✓' if found.better else '='} {suggestion_words(found)}")
        self.table.clear()
        most = max((cost.kl for cost in found.groups), default=0.0)
        for cost in sorted(found.groups, key=lambda cost: -cost.kl / cost.elements):
            share = f"{cost.kl:.5f}"
            cells = [cost.name, grouped(cost.elements), share, cost.usual_type, cost.type]
            item = QTreeWidgetItem(self.table, cells)
            item.setToolTip(_COST, f"{percent(cost.kl / most)} of the group that costs most" if most else "")
            for column in (_WEIGHTS, _COST):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for widget in (self.verdict, self.table, self.use):
            widget.show()

    def _show(self, *, busy: bool) -> None:
        idle: tuple[QWidget, ...] = (self.start, self.kind, self.extra)
        working: tuple[QWidget, ...] = (self.bar, self.words, self.stop)
        result: tuple[QWidget, ...] = (self.verdict, self.table, self.use)
        for widget in idle:
            widget.setEnabled(not busy)
        for widget in working:
            widget.setVisible(busy)
        for widget in result:
            widget.setVisible(not busy and self._found is not None)

    def _build_table(self) -> None:
        self.table = QTreeWidget()
        self.table.setAccessibleName("Groups of tensors, by what they cost a weight")
        self.table.setRootIsDecorated(False)
        self.table.setAllColumnsShowFocus(True)
        self.table.setHeaderLabels(["Tensors", "Weights", "KL divergence in 4 bits", "Usual", "Suggested"])
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_GROUP, QHeaderView.ResizeMode.Stretch)
        for column, width in ((_WEIGHTS, 110), (_COST, 150), (_USUAL, 80), (_SUGGESTED, 90)):
            header.resizeSection(column, width)
        for column in (_WEIGHTS, _COST):
            self.table.headerItem().setTextAlignment(
                column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )

    def _lay_out(self) -> None:
        options = QHBoxLayout()
        options.setSpacing(8)
        for widget in (QLabel("Compete with"), self.kind, QLabel("and exceed its size by at most"), self.extra):
            options.addWidget(widget)
        options.addSpacing(8)
        options.addWidget(self.start)
        options.addStretch()
        running = QHBoxLayout()
        running.setSpacing(8)
        running.addWidget(self.words, 1)
        running.addWidget(self.stop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(_label("title", "Types by what each tensor minds"))
        column.addWidget(_label("secondary", _EXPLAINED))
        column.addSpacing(4)
        column.addLayout(options)
        column.addWidget(self.trouble)
        column.addLayout(running)
        column.addWidget(self.bar)
        column.addWidget(self.verdict)
        column.addWidget(self.table, 1)
        column.addWidget(self.use, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch()


def _label(role: str, text: str = "") -> QLabel:
    label = QLabel(text)
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
