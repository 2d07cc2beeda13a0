"""A window of its own for the inside of one model: its tensors on the left, one of them or all types on the right."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
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
from ui.inspect.suggestion_view import SuggestionView
from ui.inspect.tensor_view import TensorView
from ui.inspect.words import shape_words
from ui.widgets.scrolled import stay_around
from ui.words import size

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
