"""The tensors of a model, grouped by layer, sorted by a click on a title, filtered by words of their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from app.inspect.messages import TensorRow
from ui.inspect.words import shape_words
from ui.words import size

_NAME, _SHAPE, _TYPE, _SIZE = range(4)
_ROW = Qt.ItemDataRole.UserRole
_SORT = Qt.ItemDataRole.UserRole + 1
_WITHOUT_LAYER = "Outside the layers"
_BEFORE = re.compile(r"^.*?\b(?:blk|layers|h|blocks)\.\d+\.|^model\.")


class TensorList(QWidget):
    """Announces the tensor that is chosen."""

    chosen = Signal(object)
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
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.filter)
        column.addWidget(self.tree, 1)

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
        groups = [self.tree.topLevelItem(number) for number in range(self.tree.topLevelItemCount())]
        return [group.child(number) for group in groups for number in range(group.childCount())]

    def _on_filter(self, text: str) -> None:
        words = text.lower().split()
        for number in range(self.tree.topLevelItemCount()):
            group = self.tree.topLevelItem(number)
            found = 0
            for item in (group.child(row) for row in range(group.childCount())):
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


def _short(name: str) -> str:
    """Without the layer, which stands above it, and without the ending that nearly all have."""
    return _BEFORE.sub("", name).removesuffix(".weight") or name


def _example(tensors: Sequence[TensorRow]) -> str:
    """A part of a name as this model's files write it: GGUF's ffn_down, safetensors' down_proj."""
    return next((part for part in ("ffn_down", "down_proj") if any(part in one.name for one in tensors)), "layers.0")
