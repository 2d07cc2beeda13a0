"""The bar over the page: which model, what it is doing, and how far a load has come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QProgressBar,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.engine.messages import ModelLoaded
from app.fit.verdict import Verdict, at_a_glance
from app.library.library import ModelEntry, ModelSource
from app.operation import Progress, Stage
from app.operation_words import STAGE_WORDS
from app.settings import Settings
from app.units import grouped
from ui.drafts.picker import DraftPicker
from ui.look.icons import set_icon
from ui.models.models_model import ENTRY_ROLE, LOADED_ROLE, SOURCE_WORDS, ModelsFilter, ModelsModel
from ui.widgets.elided_label import ROW_HEIGHT, paint_row
from ui.words import STATE_WORDS, size
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine


# The model picker (Ctrl+L): a button that names the model in memory, and a list with a filter to choose another.


_WIDTH = 440
_MOST_ROWS = 8


class VerdictAtAGlance:
    """What the verdicts in the list are measured against: the settings, and the memory as last sampled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.available_bytes = 0
        self.total_bytes = 0

    def words(self, entry: ModelEntry, loaded: bool) -> tuple[str, str]:
        """(words, colour token) for the right end of the row."""
        if loaded:
            return "loaded", "accent"
        if entry.source is ModelSource.AWAY:
            return SOURCE_WORDS[entry.source], "text_secondary"
        if entry.problem:
            return "cannot be used", "danger"
        if entry.header is None or not self.total_bytes:
            return "", "text_secondary"
        verdict = at_a_glance(
            entry.header, self.settings.context_tokens, self.settings.kv_type, self.available_bytes, self.total_bytes
        )
        tone = {Verdict.FITS: "success", Verdict.TIGHT: "warning"}.get(verdict, "danger")
        return verdict.value, tone


class ModelRowDelegate(QStyledItemDelegate):
    """Two lines: the name, and below it quantization, size and context; at the right the verdict in words."""

    def __init__(self, verdict: VerdictAtAGlance, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._verdict = verdict

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        entry: ModelEntry = index.data(ENTRY_ROLE)
        words, tone = self._verdict.words(entry, bool(index.data(LOADED_ROLE)))
        paint_row(painter, option, entry.name, facts(entry), words, tone, muted=bool(entry.problem))

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(_WIDTH - 24, ROW_HEIGHT)


def facts(entry: ModelEntry) -> str:
    """The second line of a row: what is wrong, or what is known."""
    if entry.problem or entry.header is None:
        return entry.problem
    header = entry.header
    context = f"context {grouped(header.context_tokens)}" if header.context_tokens else ""
    parts = (f"{header.parameters_str} parameters", header.quantization, f"{size(entry.size_bytes)} on disk", context)
    return " · ".join(part for part in parts if part)


class _ChatFilter(ModelsFilter):
    """The models without the folders: a model has to be made of them first."""

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex | QPersistentModelIndex) -> bool:
        entry: ModelEntry = self.sourceModel().index(source_row, 0, source_parent).data(ENTRY_ROLE)
        return not entry.is_folder and super().filterAcceptsRow(source_row, source_parent)


class ModelPopup(QFrame):
    """The list under the button: type to filter, arrows to move, Enter to load, Esc to leave."""

    picked = Signal(Path)
    """Path of a model that can be loaded"""
    manage_requested = Signal()

    def __init__(self, models: ModelsModel, verdict: VerdictAtAGlance, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("model_popup")
        self._rows = _ChatFilter(models, self)
        self.filter = QLineEdit(placeholderText="Find a model", clearButtonEnabled=True)
        self.filter.setAccessibleName("Find a model")
        self.filter.textChanged.connect(self._on_filter)
        self.filter.installEventFilter(self)
        self.list = QListView()
        self.list.setModel(self._rows)
        self.list.setItemDelegate(ModelRowDelegate(verdict, self.list))
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # rows are elided
        self.list.setUniformItemSizes(True)
        self.list.setAccessibleName("Models on this computer")
        self.list.clicked.connect(self._pick)
        self.list.activated.connect(self._pick)
        self.empty = QLabel("No model has these words in its name.")
        self.empty.setProperty("role", "secondary")
        manage = QPushButton("All models, add a file or folder…")
        manage.setProperty("role", "quiet")
        manage.clicked.connect(self._on_manage)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        for widget in (self.filter, self.list, self.empty):
            column.addWidget(widget)
        column.addWidget(manage, 0, Qt.AlignmentFlag.AlignLeft)

    def open_below(self, anchor: QWidget, loaded: Path | None) -> None:
        """Show under `anchor`, the loaded model chosen and the filter empty."""
        self.filter.clear()
        self._on_filter("")
        index = self._rows.row_of(loaded) if loaded else QModelIndex()
        self.list.setCurrentIndex(index if index.isValid() else self._rows.index(0, 0))
        rows = min(max(self._rows.rowCount(), 1), _MOST_ROWS)
        self.list.setFixedHeight(rows * ROW_HEIGHT + 2)
        self.setFixedWidth(_WIDTH)
        self.adjustSize()
        self.move(anchor.mapToGlobal(QPoint(0, anchor.height() + 4)))
        self.show()
        self.filter.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys and Enter in the filter act on the list."""
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                self._move(1 if event.key() == Qt.Key.Key_Down else -1)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._pick(self.list.currentIndex())
                return True
        return super().eventFilter(watched, event)

    def _move(self, by: int) -> None:
        row = min(max(self.list.currentIndex().row() + by, 0), self._rows.rowCount() - 1)
        self.list.setCurrentIndex(self._rows.index(row, 0))

    def _pick(self, index: QModelIndex) -> None:
        entry = self._rows.entry_at(index)
        if entry is not None and entry.can_load:
            self.hide()
            self.picked.emit(entry.path)

    def _on_filter(self, text: str) -> None:
        self._rows.set_text(text)
        self.list.setVisible(self._rows.rowCount() > 0)
        self.empty.setVisible(self._rows.rowCount() == 0)
        if not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self._rows.index(0, 0))

    def _on_manage(self) -> None:
        self.hide()
        self.manage_requested.emit()


class ModelPicker(QPushButton):
    """The button: name and quantization of the model in memory."""

    picked = Signal(Path)
    """Path"""
    manage_requested = Signal()

    def __init__(self, models: ModelsModel, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "quiet")
        self.verdict = VerdictAtAGlance(settings)
        self._loaded: Path | None = None
        self._models = models
        self._popup: ModelPopup | None = None
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the chevron stands after the name
        set_icon(self, "chevron-down", "text_secondary", 16)
        self.setToolTip("Choose a model (Ctrl+L)")
        self.clicked.connect(self.open)
        self.show_model(None)

    def show_model(self, model: ModelLoaded | None) -> None:
        self._loaded = model.path if model else None
        self._show(f"{model.name}  {model.quantization}" if model else "Choose a model")

    def show_loading(self, path: Path) -> None:
        """The model that is being loaded, by its name in the list or else its file."""
        entry = self._models.entry(path)
        self._show(entry.name if entry else path.stem)

    def open(self) -> None:
        """Drop the list down."""
        self.popup().open_below(self, self._loaded)

    def popup(self) -> ModelPopup:
        """The list; made when it is first wanted."""
        if self._popup is None:
            self._popup = ModelPopup(self._models, self.verdict, self)
            self._popup.picked.connect(self.picked)
            self._popup.manage_requested.connect(self.manage_requested)
        return self._popup

    def _show(self, text: str) -> None:
        short = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, 360)
        self.setText(short)
        self.setAccessibleName(f"Model: {text}")


_LOADING_STAGES = (
    Stage.LOAD,
    Stage.WARM_UP,
    Stage.MEASURE_THREADS,
    Stage.LOAD_DRAFT,
    Stage.MEASURE_DRAFT,
    Stage.COMPARE_DRAFT,
    Stage.CHECK_DRAFT,
)


class TopBar(QWidget):
    """Renders the engine's state; the picker and the two buttons ask."""

    stop_requested = Signal()
    panel_toggled = Signal()

    def __init__(
        self, engine: ChatEngine, models: ModelsModel, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self.picker = ModelPicker(models, settings)
        self.draft = DraftPicker()
        self._build()
        engine.state_changed.connect(self._on_state_changed)
        engine.progress.connect(self._on_progress)
        engine.model_loaded.connect(self._on_model_loaded)
        self._on_state_changed(engine.state)
        self.picker.show_model(engine.model)

    def show_asked(self, path: Path) -> None:
        """The model that was asked for, before the engine has said anything."""
        self.picker.show_loading(path)

    def _on_state_changed(self, state: EngineState) -> None:
        self.state.setText(STATE_WORDS[state])
        loading = state is EngineState.LOADING
        self.progress.setVisible(loading)
        self.stop.setVisible(loading)
        if loading:
            self.progress.setRange(0, 1000)
            self.progress.setValue(0)
        elif self._engine.model is None:
            self.picker.show_model(None)

    def _on_progress(self, progress: Progress) -> None:
        if progress.stage not in _LOADING_STAGES or not progress.total:
            return
        self.state.setText(f"{STAGE_WORDS[progress.stage]}, {100 * progress.done // progress.total} %")
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)

    def _on_model_loaded(self, model: ModelLoaded) -> None:
        self.picker.show_model(model)
        self.state.setText(STATE_WORDS[self._engine.state])

    def _build(self) -> None:
        self.state = QLabel()
        self.state.setProperty("role", "secondary")
        self.state.setAccessibleName("State")
        self.stop = QToolButton()
        set_icon(self.stop, "x", "text_secondary", 16)
        self.stop.setToolTip("Stop (Esc)")
        self.stop.setAccessibleName("Stop")
        self.stop.clicked.connect(self.stop_requested)
        panel = QToolButton()
        set_icon(panel, "panel-right")
        panel.setToolTip("Show or hide the performance panel (F9)")
        panel.setAccessibleName("Show or hide the performance panel")
        panel.clicked.connect(self.panel_toggled)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of loading")
        keep = self.progress.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(keep)
        row = QHBoxLayout()
        row.setContentsMargins(16, 8, 12, 4)
        row.setSpacing(8)
        for widget in (self.picker, self.draft, self.state, self.stop):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addStretch()
        row.addWidget(panel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.progress)
