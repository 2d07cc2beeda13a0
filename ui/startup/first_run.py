"""The first start: this computer's speed, measured while nothing else is asked of it, and a first model for it.

Nothing is asked of the network: what is suggested comes from the list that is shipped, until the user wants to see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
from PySide6.QtCore import QObject, Qt, QTimer

from app.fit.first_choice import suggest
from app.fit.verdict import memory_budget
from app.library.library import ModelSource
from app.system.hardware import has_network, total_memory_bytes
from app.system.paths import STARTER_MODEL
from workers.engine.client import EngineState

if TYPE_CHECKING:
    from ui.chat.empty import ChatEmpty
    from ui.models.models_model import ModelsModel
    from ui.navigation import Navigation
    from workers.services import Services

QUIET_MS = 3000
"""So long nothing must have happened before the measurement begins."""
BUSY_MS = 30_000
BUSY_PERCENT = 40
"""A share of all processors: above it other programs are at work, and what is measured would not be this computer's
speed.
"""
_MOST_WAITS = 10
_IDLE = (EngineState.READY, EngineState.EMPTY)


class FirstRun(QObject):
    """Lives as long as the hub's services."""

    def __init__(self, services: Services, models: ModelsModel, empty: ChatEmpty, navigation: Navigation) -> None:
        super().__init__(services.hub)
        self._services, self._hub, self._models, self._empty = services, services.hub, models, empty
        hub, engine = services.hub, services.engine
        self._asked = self._put_off = self._given_up = self._closed = False
        self._waits = 0
        self.quiet = QTimer(self, singleShot=True, interval=QUIET_MS)
        self.quiet.timeout.connect(self._measure)
        self._empty.first_model.show_wanted.connect(navigation.show_repository)
        engine.state_changed.connect(self._on_state_changed)
        models.modelReset.connect(self._show)
        hub.speed.changed.connect(self._on_speed_changed)
        hub.jobs.changed.connect(self._on_job_changed, Qt.ConnectionType.QueuedConnection)
        hub.browser.offline_changed.connect(lambda _offline: self._show())
        self._on_state_changed(engine.state)
        self._show()

    def close(self) -> None:
        """Begin and show nothing any more: the program ends, and the services after it."""
        self._closed = True
        self.quiet.stop()

    # the measurement

    def _on_state_changed(self, state: EngineState) -> None:
        """An answer, or a load, is what the user waits for: the measurement makes room and begins again later."""
        if state in _IDLE:
            self._wait()
            self._show()
            return
        self.quiet.stop()
        self._make_room()

    def _on_job_changed(self, _status: object) -> None:
        """A job of the user's does not wait behind the measurement."""
        if len(self._hub.jobs.jobs) > 1:
            self._make_room()

    def _make_room(self) -> None:
        if self._asked and self._hub.speed.is_measuring:
            self._put_off = True
            self._hub.speed.put_off()

    def _wait(self) -> None:
        if self._hub.speed.speed is None and not (self._given_up or self._closed):
            psutil.cpu_percent()  # from here on; the next call tells what was used meanwhile
            self.quiet.start(QUIET_MS)

    def _measure(self) -> None:
        speed = self._hub.speed
        if speed.speed is not None or speed.is_measuring:
            return
        if self._hub.jobs.jobs or (psutil.cpu_percent() > BUSY_PERCENT and self._waits < _MOST_WAITS):
            self._waits += 1
            self.quiet.start(BUSY_MS)
            return
        self._asked = True
        speed.measure()

    def _on_speed_changed(self) -> None:
        if self._asked and not self._hub.speed.is_measuring:
            # Whoever cancels it in the strip has decided; a failure would come again.
            self._given_up = self._hub.speed.speed is None and not self._put_off
            self._asked = self._put_off = False
            if self._services.engine.state in _IDLE:
                self._wait()
        self._show()

    # the suggestion

    def _show(self) -> None:
        if self._closed or not self._models.entries:
            return  # of what is on the disk nothing is known yet, or it does not matter any more
        line, speed = self._empty.first_model, self._hub.speed.speed
        if self._has_a_model():
            line.show_nothing()
            return
        if speed is None and not self._given_up:
            line.show_measuring()
            return
        settings, total = self._services.settings.current, total_memory_bytes()
        loaded = self._services.engine.model
        budget = memory_budget(loaded.need.total_bytes if loaded is not None else 0)
        choice = suggest(total, settings.context_tokens, budget, speed, settings.target_ms_per_token).choice
        offline = self._hub.browser.is_offline or not has_network()
        line.show_nothing() if choice is None else line.show_choice(choice, offline=offline)

    def _has_a_model(self) -> bool:
        """One of the user's own, beside the one that comes with Bantam."""
        loaded = self._services.engine.model
        if loaded is not None and loaded.path.name != STARTER_MODEL.name:
            return True
        own = (entry for entry in self._models.entries if entry.source is not ModelSource.STARTER)
        return any(entry.can_load or entry.is_folder or entry.source is ModelSource.AWAY for entry in own)
