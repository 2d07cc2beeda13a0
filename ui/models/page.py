"""The models on this machine: look, load, unload, add, take away. Scanning runs in the task runner, never here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.library.library import Deletion, ModelEntry, delete
from app.measure.families import families, reference_for
from app.system.paths import Paths
from ui.errors import BarArea, ErrorBar, NoticeBar
from ui.look.icons import set_icon
from ui.models.details import ModelDetails
from ui.models.ledger_model import LedgerFilter, LedgerModel
from ui.models.models_model import ENTRY_ROLE, ModelsModel
from ui.models.table import ModelTable
from ui.widgets.empty_state import EmptyState
from workers.current_model import CurrentModel
from workers.engine.client import EngineState
from workers.protocol import Failure

if TYPE_CHECKING:
    from workers.engine.client import ChatEngine
    from workers.library import Library
    from workers.settings_store import SettingsStore
    from workers.tasks import TaskRunner

UNDO_MS = 20_000
_NARROW = 600
_LEAST_TABLE = 174
"""Pixels: the head and three rows, whatever is told of the chosen one."""


class ModelsPage(QWidget):
    """Title and filter, bars, the table, the details of the chosen row."""

    verify_requested = Signal(ModelEntry)
    measure_requested = Signal(ModelEntry)
    chat_requested = Signal(Path)
    """The model to chat with."""

    def __init__(
        self,
        models: ModelsModel,
        library: Library,
        current: CurrentModel,
        engine: ChatEngine,
        settings: SettingsStore,
        tasks: TaskRunner,
        paths: Paths,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._models, self._library, self._current, self._engine = models, library, current, engine
        self._settings, self._tasks, self._paths = settings, tasks, paths
        self._ledger = LedgerModel(self)
        self._rows = LedgerFilter(self._ledger, self)
        self._deletion: Deletion | None = None
        self._wanted: Path | None = None
        self._chosen: Path | None = None
        self._build()
        self.setAcceptDrops(True)
        models.modelReset.connect(self._on_models_changed)
        models.dataChanged.connect(lambda *_: self._on_models_changed())
        self._on_models_changed()
        engine.state_changed.connect(lambda _state: self._show_details())
        library.scanned.connect(lambda _entries: self._on_rows_changed())
        library.failed.connect(self._on_failed)

    def select(self, path: Path) -> None:
        """Choose that row, now or when it has been found."""
        index = self._rows.row_of(path)
        if index.isValid():
            self.table.setCurrentIndex(index)
            self.table.scrollTo(index)
            self._wanted = None
        else:
            self._wanted = path

    def focus_filter(self) -> None:
        self.filter.setFocus()
        self.filter.selectAll()

    def add_files(self, paths: list[Path]) -> None:
        """Use these .gguf files where they lie; folders are added as folders."""
        files = [str(path) for path in paths if path.suffix.lower() == ".gguf"]
        folders = [str(path) for path in paths if path.is_dir()]
        others = [path for path in paths if path.suffix.lower() != ".gguf" and not path.is_dir()]
        if others:
            self.notice.show_notice(f"{others[0].name} is not a .gguf file and was left out.")
        now = self._settings.current
        new_files = tuple(dict.fromkeys((*now.model_files, *files)))
        new_folders = tuple(dict.fromkeys((*now.model_folders, *folders)))
        if files:
            self._wanted = Path(files[0])
        if (new_files, new_folders) != (now.model_files, now.model_folders):
            self._settings.update(model_files=new_files, model_folders=new_folders)

    def purge_deleted(self) -> None:
        """Remove for good what was put aside; called when it can no longer be undone, and at the end."""
        if self._deletion is not None:
            deletion, self._deletion = self._deletion, None
            self._tasks.run(deletion.purge, on_error=self._on_failed)

    # what the buttons do

    def _on_delete(self, entry: ModelEntry) -> None:
        if self._engine.model is not None and self._engine.model.path == entry.path:
            self._current.unload()
        if not entry.can_delete:
            undo = self._library.leave_out(entry)
            self.notice.show_notice(
                f"{entry.name} is off the list. The file is where it was.",
                "Undo",
                lambda: self._settings.update(**undo),
                stay_ms=UNDO_MS,
            )
            return
        self.purge_deleted()
        self._tasks.run(delete, entry, on_result=self._on_deleted, on_error=self._on_failed)

    def _on_deleted(self, deletion: Deletion) -> None:
        self._deletion = deletion
        self.notice.show_notice(f"{deletion.entry.name} was deleted.", "Undo", self._undo, stay_ms=UNDO_MS)
        self._library.refresh()

    def _undo(self) -> None:
        if self._deletion is not None:
            deletion, self._deletion = self._deletion, None
            self._wanted = deletion.entry.path
            self._tasks.run(
                deletion.undo, on_result=lambda _: self._library.refresh(), on_error=self._on_failed, receiver=self
            )

    def _on_add_file(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add model files", "", "Models (*.gguf)")
        self.add_files([Path(name) for name in names])

    def ask_for_folder(self) -> None:
        """Let the user choose one more folder of models."""
        if name := QFileDialog.getExistingDirectory(self, "Add a folder of models"):
            self.add_files([Path(name)])

    def _on_open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._paths.models)))

    def _on_show(self, entry: ModelEntry) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(entry.path if entry.is_folder else entry.path.parent)))

    def _on_load(self, entry: ModelEntry) -> None:
        if entry.can_load and self._engine.state is not EngineState.LOADING:
            self._current.load(entry.path)

    # what comes back

    def _on_failed(self, failure: Failure) -> None:
        self.error.show_failure(failure)

    def _on_models_changed(self) -> None:
        self._ledger.set_families(families(self._models.entries, self._models.figures))
        self._ledger.set_loaded(self._models.loaded)
        self._on_rows_changed()

    def _on_rows_changed(self) -> None:
        if self._wanted is not None:
            self.select(self._wanted)
        if not self.table.currentIndex().isValid():
            kept = self._rows.row_of(self._chosen) if self._chosen is not None else QModelIndex()
            self.table.setCurrentIndex(kept if kept.isValid() else self._rows.first())
        self._show_details()

    def _on_chosen(self, index: QModelIndex) -> None:
        if index.isValid():
            self._chosen = index.data(ENTRY_ROLE).path
        self._show_details()

    def _on_filter(self, text: str) -> None:
        self._rows.set_text(text)
        self._on_rows_changed()

    def _show_details(self) -> None:
        entry = self._rows.entry_at(self.table.currentIndex())
        loaded = entry is not None and self._engine.model is not None and self._engine.model.path == entry.path
        self.details.show_entry(entry, loaded=loaded, busy=self._engine.state is EngineState.LOADING)
        if entry is not None:
            found = self._ledger.families
            self.details.show_row(self._ledger.row_of(entry.path), reference_for(entry.path, found))
        empty = self._rows.rowCount() == 0
        self.empty.setVisible(empty)
        self.table.setVisible(not empty)
        if self._models.entries:
            self.empty.say("Nothing found", "No model has these words in its name.")
        else:
            self.empty.say("No models here yet", "Drop a .gguf file on this page, or add a file or folder you have.")

    # how it is laid out

    def _build(self) -> None:
        self.setProperty("role", "page")
        self.error, self.notice = ErrorBar(self), NoticeBar(self)
        self.notice.dismissed.connect(self.purge_deleted)
        self.table = ModelTable(self._rows)
        self.table.setMinimumHeight(_LEAST_TABLE)
        self.table.selectionModel().currentRowChanged.connect(lambda index, _: self._on_chosen(index))
        self.table.doubleClicked.connect(self._on_activated)
        self.empty = EmptyState("boxes")
        self.empty.hide()
        self.details = ModelDetails()
        self.details.load_requested.connect(self._on_load)
        self.details.chat_requested.connect(lambda entry: self.chat_requested.emit(entry.path))
        self.details.unload_requested.connect(self._current.unload)
        self.details.delete_requested.connect(self._on_delete)
        self.details.show_requested.connect(self._on_show)
        self.details.verify_requested.connect(self.verify_requested)
        self.details.measure_requested.connect(self.measure_requested)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        column.addWidget(BarArea(self.error, self.notice))
        column.addLayout(_beside_margins(self.table), 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.details)

    def _head(self) -> QHBoxLayout:
        title = QLabel("Models")
        title.setProperty("role", "title")
        self.filter = QLineEdit(placeholderText="Filter", clearButtonEnabled=True)
        self.filter.setAccessibleName("Filter the models")
        self.filter.setMinimumWidth(120)
        self.filter.setMaximumWidth(220)
        self.filter.textChanged.connect(self._on_filter)
        self._head_buttons: list[QPushButton] = []
        row = QHBoxLayout()
        row.setContentsMargins(24, 16, 24, 8)
        row.setSpacing(8)
        row.addWidget(title)
        row.addSpacing(8)
        row.addWidget(self.filter, 1)
        row.addStretch()
        for text, icon, slot in (
            ("Add file…", "file-plus", self._on_add_file),
            ("Add folder…", "folder-plus", self.ask_for_folder),
            ("Open folder", "folder-open", self._on_open_folder),
        ):
            button = QPushButton(text)
            button.setProperty("role", "quiet")
            button.setAccessibleName(text)
            set_icon(button, icon)
            button.clicked.connect(slot)
            row.addWidget(button)
            self._head_buttons.append(button)
        return row

    def _on_activated(self, index: QModelIndex) -> None:
        self._on_load(index.data(ENTRY_ROLE))

    # Qt overrides

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._library.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the head out anew. In a narrow page the buttons of the head are their icons, with their words in the
        tool tip.
        """
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        for button in self._head_buttons:
            words = button.accessibleName()
            button.setText("" if narrow else words)
            button.setToolTip(words if narrow else "")

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(_is_model_or_folder(url) for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        # After the drop is answered: the other program waits for it.
        QTimer.singleShot(0, self, lambda: self.add_files(paths))


def _is_model_or_folder(url: QUrl) -> bool:
    path = Path(url.toLocalFile())
    return url.isLocalFile() and (path.suffix.lower() == ".gguf" or path.is_dir())


def _beside_margins(table: QWidget) -> QVBoxLayout:
    """The text of the table's cells stands under the title: a cell has 8 pixels of its own."""
    column = QVBoxLayout()
    column.setContentsMargins(16, 0, 16, 0)
    column.addWidget(table)
    return column
