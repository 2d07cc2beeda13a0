"""A window of its own for the inside of one model: its tensors on the left, one of them or all types on the right."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.inspect.messages import Inside, LookAtTensor, LookInside, TensorLook, TensorRow, TypesSuggested
from app.library.library import ModelEntry
from app.operation import Progress
from app.operation_words import STAGE_WORDS
from app.units import grouped, percent
from ui.inspect.tensor_view import TensorView
from ui.inspect.words import shape_words, suggestion_words
from ui.widgets.scrolled import stay_around
from ui.words import size, time_left

# Types for all tensors by measured sensitivity: what it is, how far it is, what came of it, handing it on.


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


_SETTLE_MS = 120
"""The arrow keys may run over many rows: the one that they stop at is read."""
_NOT_NOW = "Types are suggested for models in 16 bits: what this one would mind cannot be seen on it any more."
_TENSOR, _TYPES = range(2)


class InsideWindow(QDialog):
    """Asks and shows; does nothing itself."""

    asked = Signal(object)  # LookInside | LookAtTensor
    """LookInside or LookAtTensor"""
    suggestion_requested = Signal(str, float)
    cancel_requested = Signal()
    use_requested = Signal(TypesSuggested)
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


# The tensors of a model, grouped by layer, sorted by a click on a title, filtered by words of their names.


_NAME, _SHAPE, _TYPE, _SIZE = range(4)
_ROW = Qt.ItemDataRole.UserRole
_SORT = Qt.ItemDataRole.UserRole + 1
_WITHOUT_LAYER = "Outside the layers"
_BEFORE = re.compile(r"^.*?\b(?:blk|layers|h|blocks)\.\d+\.|^model\.")


class TensorList(QWidget):
    """Announces the tensor that is chosen."""

    chosen = Signal(TensorRow)
    """TensorRow"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.filter = QLineEdit(placeholderText="Filter", clearButtonEnabled=True)
        self.filter.setAccessibleName("Filter the tensors")
        self.filter.textChanged.connect(self._on_filter)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Tensors")
        self.tree.setHeaderLabels(["Tensor", "Shape", "Type", "Size"])
        self.tree.setIndentation(12)
        self.tree.setUniformRowHeights(True)
        self.tree.setAllColumnsShowFocus(True)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setSortingEnabled(True)
        self.tree.sortByColumn(_NAME, Qt.SortOrder.AscendingOrder)
        self.tree.currentItemChanged.connect(lambda item, _: self._on_current(item))
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((_SHAPE, 112), (_TYPE, 56), (_SIZE, 80)):
            header.resizeSection(column, width)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        self.tree.headerItem().setTextAlignment(_SIZE, right)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.filter)
        layout.addWidget(self.tree, 1)

    def show_tensors(self, tensors: Sequence[TensorRow]) -> None:
        """Fill in the tree; the first layer is open."""
        self.tree.setSortingEnabled(False)
        self.tree.clear()
        groups: dict[int, _Item] = {}
        for tensor in tensors:
            if tensor.block not in groups:
                groups[tensor.block] = _group(tensor.block)
            _add(groups[tensor.block], tensor)
        for group in groups.values():
            total = sum(group.child(number).data(_SIZE, _SORT) for number in range(group.childCount()))
            group.setText(_SIZE, size(total))
            group.setData(_SIZE, _SORT, total)
            self.tree.addTopLevelItem(group)
            group.setExpanded(group.data(_NAME, _SORT) < 1)
        self.tree.setSortingEnabled(True)
        self.filter.setPlaceholderText(f"Filter, such as {_example(tensors)}" if tensors else "Filter")
        self._on_filter(self.filter.text())

    def choose(self, name: str) -> None:
        """Select the tensor of this name, if it is there."""
        for item in self._tensors():
            if item.data(_NAME, _ROW).name == name:
                self.tree.setCurrentItem(item)
                return

    def shown(self) -> list[str]:
        """Names that the filter lets through, from top to bottom."""
        return [item.data(_NAME, _ROW).name for item in self._tensors() if not item.isHidden()]

    def _tensors(self) -> list[QTreeWidgetItem]:
        return [item for group in _children(self.tree.invisibleRootItem()) for item in _children(group)]

    def _on_filter(self, text: str) -> None:
        words = text.lower().split()
        for group in _children(self.tree.invisibleRootItem()):
            found = 0
            for item in _children(group):
                fits = all(word in item.data(_NAME, _ROW).name.lower() for word in words)
                item.setHidden(not fits)
                found += fits
            group.setHidden(not found)
            if words:
                group.setExpanded(True)

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None and (row := item.data(_NAME, _ROW)) is not None:
            self.chosen.emit(row)


class _Item(QTreeWidgetItem):
    """Sorts by numbers where the text is one in words."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        column = self.treeWidget().sortColumn() if self.treeWidget() is not None else _NAME
        ours, theirs = self.data(column, _SORT), other.data(column, _SORT)
        if ours is None or theirs is None:
            return self.text(column) < other.text(column)
        return bool(ours < theirs)


def _group(block: int) -> _Item:
    item = _Item([_WITHOUT_LAYER if block < 0 else f"Layer {block}"])
    item.setData(_NAME, _SORT, block)
    item.setTextAlignment(_SIZE, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def _add(group: _Item, tensor: TensorRow) -> None:
    item = _Item(group, [_short(tensor.name), shape_words(tensor), tensor.type, size(tensor.size_bytes)])
    item.setData(_NAME, _ROW, tensor)
    item.setData(_SHAPE, _SORT, tensor.elements)
    item.setData(_SIZE, _SORT, tensor.size_bytes)
    item.setTextAlignment(_SIZE, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(_NAME, tensor.name)


def _children(item: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    found = (item.child(number) for number in range(item.childCount()))
    return [child for child in found if child is not None]


def _short(name: str) -> str:
    """The name without the layer, which stands above it, and without the ending that nearly all have."""
    return _BEFORE.sub("", name).removesuffix(".weight") or name


def _example(tensors: Sequence[TensorRow]) -> str:
    """A part of a name as this model's files write it: GGUF's ffn_down, safetensors' down_proj."""
    return next((part for part in ("ffn_down", "down_proj") if any(part in one.name for one in tensors)), "layers.0")
