"""The services of the window, each made once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.engine.machine_record import read_choice
from app.system.paths import Paths
from workers.chat_storage import ChatStorage
from workers.current_model import CurrentModel
from workers.engine.client import ChatEngine
from workers.library import Library
from workers.memory_sampler import MemorySampler
from workers.process import ChildProcess
from workers.settings_store import SettingsStore, WindowStateStore
from workers.tasks import TaskRunner

if TYPE_CHECKING:
    from workers.hub_services import HubServices
    from workers.jobs import JobStatus


class Services(QObject):
    """What a page or a controller may be handed; each takes what it needs."""

    hub_made = Signal(QObject)
    """The HubServices, once, before whoever asked for them first has them."""

    def __init__(self, paths: Paths, engine: ChatEngine | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.paths = paths
        self.settings = SettingsStore(paths.settings, self)
        self.state = WindowStateStore(paths.window_state, paths.settings, self)
        self.engine = engine or ChatEngine(paths, parent=self)
        self.storage = ChatStorage(paths.chats, self)
        self.tasks = TaskRunner(self)
        self.library = Library(paths, self.settings, self.tasks, self)
        self.current = CurrentModel(self.engine, self.settings, self, self._chosen_draft)
        self.sampler = MemorySampler(lambda: self.engine.child_pid, self, self._child_pids)
        self._hub: HubServices | None = None
        self.engine.model_loaded.connect(lambda model: self.state.update(last_model=str(model.path)))

    @property
    def hub(self) -> HubServices:
        """Made when it is first asked for, which is after the first paint."""
        if self._hub is None:
            from workers.hub_services import HubServices

            self._hub = HubServices(self.paths, self.settings, self.tasks, self)
            self.hub_made.emit(self._hub)
        return self._hub

    @property
    def jobs(self) -> tuple[JobStatus, ...]:
        """The jobs that have not ended."""
        return self._hub.jobs.jobs if self._hub is not None else ()

    def close(self) -> None:
        """Save, stop, wait, all bounded. For the end of the program."""
        self.sampler.stop()
        if self._hub is not None:
            self._hub.close()
        self.engine.close()
        self.storage.close()
        self.tasks.close()

    def _child_pids(self) -> list[int]:
        return [child.pid for child in self.findChildren(ChildProcess) if child.pid is not None]

    def _chosen_draft(self, model: Path) -> Path | None:
        draft = read_choice(self.paths.drafts, model).draft
        return Path(draft) if draft else None
