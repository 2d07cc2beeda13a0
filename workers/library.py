"""The models on this machine, and what was measured of each: read when something changed, for all who show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.library import library
from app.library.library import ModelEntry
from app.measure.ledger import Figures, figures_of
from app.settings import Settings
from app.system.paths import Paths
from workers.protocol import Failure
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

_PLACES = frozenset({"model_folders", "model_files"})
"""The settings that say where models lie."""


class Library(QObject):
    """Reads the folders off the window's thread: when it is asked to, and when the settings name other places."""

    scanned = Signal(tuple)
    """The entries, by name."""
    figures_read = Signal(object)  # dict[Path, Figures], which Signal(dict) would copy key by key
    """What was measured, by the path of the model."""
    failed = Signal(Failure)

    def __init__(self, paths: Paths, settings: SettingsStore, tasks: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._paths, self._settings, self._tasks = paths, settings, tasks
        self._entries: tuple[ModelEntry, ...] = ()
        self._scanning = self._is_stale = False
        settings.changed.connect(self._on_settings_changed)

    def refresh(self) -> None:
        """Look at the disk again. A look that is under way may have missed what is new; one more follows."""
        self._is_stale = self._scanning
        if not self._scanning:
            self._scanning = True
            self._tasks.run(
                library.scan,
                self._paths,
                self._settings.current,
                on_result=self._on_scanned,
                on_error=self._on_failed,
                receiver=self,
            )

    def read_figures(self) -> None:
        """Read again what was measured."""
        paths = [entry.path for entry in self._entries]
        self._tasks.run(
            figures_of, self._paths.ledger, paths, on_result=self._on_figures, on_error=self._on_failed, receiver=self
        )

    def include(self, paths: Sequence[Path]) -> None:
        """Look where these lie too: models that were made or opened here, which may be in no folder that is known."""
        before = after = self._settings.current
        for path in paths:
            after = library.including(path, self._paths, after)
        self._settings.update(**_difference(before, after))

    def leave_out(self, entry: ModelEntry) -> dict[str, Any]:
        """Take a model off the list; its file stays. Returns the settings that bring it back."""
        before = self._settings.current
        self._settings.update(**_difference(before, library.without(entry, before)))
        return {name: getattr(before, name) for name in _PLACES}

    def _on_settings_changed(self, fields: frozenset[str]) -> None:
        if fields & _PLACES:
            self.refresh()

    def _on_scanned(self, entries: tuple[ModelEntry, ...]) -> None:
        self._scanning = False
        self._entries = entries
        self.scanned.emit(entries)
        self.read_figures()
        if self._is_stale:
            self.refresh()

    def _on_figures(self, figures: dict[Path, Figures]) -> None:
        self.figures_read.emit(figures)

    def _on_failed(self, failure: Failure) -> None:
        self._scanning = False
        self.failed.emit(failure)


def _difference(before: Settings, after: Settings) -> dict[str, Any]:
    """The fields that are not the same."""
    fields = (f.name for f in dataclasses.fields(Settings))
    return {name: getattr(after, name) for name in fields if getattr(after, name) != getattr(before, name)}
