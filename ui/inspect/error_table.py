"""What each way of storing a tensor in fewer bits would do to its weights, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from app.inspect.messages import MethodError
from ui.inspect.words import noise_words
from ui.look.theme import color

_NAME, _BITS, _RMSE, _NOISE, _WORDS = range(5)
_USUAL = "Q4_K"
_NUMBERS = (_BITS, _RMSE, _NOISE)


class ErrorTable(QTreeWidget):
    """A row a method, in the order they come. Whoever shows it gives the current row's sentence room to be whole."""

    explained = Signal(str)
    """The sentence of the row that is current now"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Errors of each way to store the tensor")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setHeaderLabels(["Stored as", "Bits a weight", "RMSE", "Signal to noise", "What it means"])
        self.currentItemChanged.connect(lambda item, _: self.explained.emit(item.toolTip(_WORDS) if item else ""))
        header = self.header()
        for column, width in ((_NAME, 200), (_BITS, 96), (_RMSE, 76), (_NOISE, 98)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(_WORDS, QHeaderView.ResizeMode.Stretch)
        for column in _NUMBERS:
            self.headerItem().setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def show_errors(self, errors: Sequence[MethodError]) -> None:
        self.clear()
        for error in errors:
            rmse = "—" if error.problem else "0" if error.exact else f"{error.rmse:.3g}"
            words = error.problem or error.words
            item = QTreeWidgetItem(self, [error.name, f"{error.bits:.2f}", rmse, noise_words(error), words])
            for column in _NUMBERS:
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column in (_NAME, _WORDS):
                item.setToolTip(column, f"{error.name}: {words}")
            if error.problem:
                for column in range(5):
                    item.setForeground(column, color("text_secondary"))
        usual = self.findItems(_USUAL, Qt.MatchFlag.MatchExactly, _NAME)
        self.setCurrentItem(usual[0] if usual else self.topLevelItem(0))
