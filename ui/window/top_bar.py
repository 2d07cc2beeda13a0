"""The bar over the page: which model, what it is doing, and how far a load has come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from app.engine.messages import ModelLoaded
from app.operation import Progress, Stage
from app.operation_words import STAGE_WORDS
from app.settings import Settings
from ui.drafts.picker import DraftPicker
from ui.look.icons import set_icon
from ui.models.models_model import ModelsModel
from ui.window.model_picker import ModelPicker
from ui.words import STATE_WORDS
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine

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
