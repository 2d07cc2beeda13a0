"""The draft picker: a button beside the model's, and a list of what can draft for it, with what each gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.engine.messages import DraftFigures, ModelLoaded
from ui.look.icons import set_icon
from ui.look.theme import text_font
from ui.widgets.elided_label import ROW_HEIGHT, ElidedLabel, paint_row

_WIDTH = 560
_MOST_ROWS = 6
_Index = QModelIndex | QPersistentModelIndex
_ROW_ROLE = Qt.ItemDataRole.UserRole + 1

EXPLANATION = (
    "A small model of the same family guesses the next words, and the loaded model checks them all at once. "
    "The answers stay the same, word for word; only the speed changes."
)


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A line of the list. `path` None is "no draft model". A row that is not `usable` says why in `facts`."""

    path: Path | None
    title: str
    facts: str
    words: str = ""
    tone: str = "text_secondary"
    usable: bool = True


class _Rows(QAbstractListModel):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[DraftRow, ...] = ()

    def set_rows(self, rows: Sequence[DraftRow]) -> None:
        self.beginResetModel()
        self.rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        usable = index.isValid() and self.rows[index.row()].usable
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable if usable else Qt.ItemFlag.NoItemFlags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role == _ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return ", ".join(part for part in (row.title, row.facts, row.words) if part)
        return None


class _Delegate(QStyledItemDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row: DraftRow = index.data(_ROW_ROLE)
        paint_row(painter, option, row.title, row.facts, row.words, row.tone, muted=not row.usable)

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(_WIDTH - 24, ROW_HEIGHT)


class DraftPopup(QFrame):
    """What a draft is, the list, the verdict, and two ways to find out more."""

    picked = Signal(object)  # Path | None
    """Path, or None for no draft model"""
    measure_requested = Signal()
    check_requested = Signal()
    search_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("model_popup")
        self._rows = _Rows(self)
        self.explanation = _wrapped(EXPLANATION)
        self.list = QListView()
        self.list.setModel(self._rows)
        self.list.setItemDelegate(_Delegate(self.list))
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.list.setAccessibleName("Models that can draft")
        self.list.clicked.connect(self._pick)
        self.list.activated.connect(self._pick)
        self.verdict = _wrapped("")
        self.verdict.setAccessibleName("What the draft gains")
        self.measure = _button("Measure the gain", self.measure_requested, self)
        self.check = _button("Check it changes nothing", self.check_requested, self)
        self.search = _button("Find one on the hub…", self.search_requested, self)
        self.set_verdict("", "text_secondary")
        self._lay_out()

    def set_rows(self, rows: Sequence[DraftRow], chosen: Path | None) -> None:
        """Show these; the chosen one is marked."""
        self._rows.set_rows(rows)
        number = next((i for i, row in enumerate(rows) if row.path == chosen), 0)
        self.list.setCurrentIndex(self._rows.index(number, 0))
        self.list.setFixedHeight(min(max(len(rows), 1), _MOST_ROWS) * ROW_HEIGHT + 2)
        self._fit()

    @property
    def rows(self) -> tuple[DraftRow, ...]:
        """What is listed."""
        return self._rows.rows

    def set_verdict(self, text: str, role: str) -> None:
        """The line under the list; "" hides it."""
        self.verdict.setText(text)
        self.verdict.setProperty("role", role)
        self.verdict.style().polish(self.verdict)
        self.verdict.setVisible(bool(text))
        self._fit()

    def set_can_try(self, can: bool) -> None:
        """Whether a draft is loaded that can be measured and checked now."""
        for button in (self.measure, self.check):
            button.setEnabled(can)

    def open_below(self, anchor: QWidget) -> None:
        """Show under `anchor`."""
        self._fit()
        self.move(anchor.mapToGlobal(QPoint(0, anchor.height() + 4)))
        self.show()
        self.list.setFocus()

    def _fit(self) -> None:
        """Make it as high as it has to be: `adjustSize` takes lines that wrap for lower than they are."""
        if self.layout() is not None:
            self.setFixedSize(_WIDTH, self.layout().totalHeightForWidth(_WIDTH))

    def _pick(self, index: QModelIndex) -> None:
        row = index.data(_ROW_ROLE)
        if row is not None and row.usable:
            self.hide()
            self.picked.emit(row.path)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        for widget in (self.explanation, self.list, self.verdict):
            column.addWidget(widget)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (self.measure, self.check, self.search):
            buttons.addWidget(button)
        buttons.addStretch()
        column.addLayout(buttons)


class DraftPicker(QPushButton):
    """The button: which draft is loaded. Its list is filled when it is about to open."""

    opening = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "quiet")
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the chevron stands after the words
        set_icon(self, "chevron-down", "text_secondary", 16)
        self.setToolTip("Choose a draft model, which can make answers faster")
        self.popup = DraftPopup(self)
        self.clicked.connect(self.open)
        self.show_draft("", "")

    def show_draft(self, name: str, words: str) -> None:
        """The name of the draft model ("" for none) and what it was found to gain, as "1.7 ×"."""
        text = f"Draft: {name}" if name else "No draft"
        short = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, 220)
        self.setText(f"{short}  {words}".rstrip())
        self.setAccessibleName(f"{text} {words}".rstrip())

    def open(self) -> None:
        """Drop the list down."""
        self.opening.emit()
        self.popup.open_below(self)


def _wrapped(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "secondary")
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _button(text: str, signal: object, popup: QFrame) -> QPushButton:
    button = QPushButton(text)

    def leave_and_ask() -> None:
        popup.hide()
        signal.emit()  # type: ignore[attr-defined]

    button.clicked.connect(leave_and_ask)
    return button


# How drafting goes, in the performance panel: seen while a model is loaded that has something to draft with.


_NONE = "–"
_OFF = "off: it would be slower"
_FEWEST = 8
"""Drafted tokens; before so many a share says nothing."""


class DraftingRows(QWidget):
    """Source, share of right guesses, tokens for each run of the model, and the speed-up against plain decoding."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        self.state = ElidedLabel("", mode=Qt.TextElideMode.ElideMiddle)
        _row(form, "Draft", "What guesses the next tokens", self.state)
        self.acceptance = _row(form, "Right guesses", "Of the drafted tokens, those that the model agreed with")
        self.per_step = _row(form, "Tokens a step", "New tokens for each run of the model; 1 is plain decoding")
        self.speed_up = _row(form, "Against plain", "How many times as fast as without drafts, measured meanwhile")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(form)
        self._source = ""
        self.show_sources(None)

    def show_sources(self, model: ModelLoaded | None) -> None:
        """What the loaded model drafts with; without anything the rows are hidden."""
        draft = model.draft.name if model is not None and model.draft is not None else ""
        lookup = model is not None and model.prompt_lookup
        self._source = draft or ("repeating text" if lookup else "")
        self.setVisible(bool(self._source))
        self._say(self._source)
        for value in (self.acceptance, self.per_step, self.speed_up):
            value.setText(_NONE)

    def show_figures(self, figures: DraftFigures) -> None:
        """How it goes in the answer that is written."""
        self._say(self._source if figures.is_on else _OFF)
        known = figures.drafted_tokens >= _FEWEST
        self.acceptance.setText(f"{100 * figures.acceptance:.0f} %" if known else _NONE)
        self.per_step.setText(f"{figures.tokens_per_step:.1f}" if figures.steps else _NONE)
        # Where hardly anything was guessed, the ratio is that of two moments of this computer.
        self.speed_up.setText(f"{figures.speed_up:.2f} ×" if figures.speed_up and known else _NONE)

    def _say(self, text: str) -> None:
        self.state.say(text)


def _row(form: QFormLayout, word: str, help: str, value: QLabel | None = None) -> QLabel:
    name, value = QLabel(word), value or QLabel(_NONE)
    name.setProperty("role", "secondary")
    value.setFont(text_font(tabular=True))
    value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    value.setAccessibleName(word)
    for label in (name, value):
        label.setToolTip(help)
    form.addRow(name, value)
    return value
