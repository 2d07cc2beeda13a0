"""The user's settings in force: read once, changed by `update`, saved at once, announced to all who use them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.errors import StorageError
from app.settings import Settings, load_settings, save_settings
from workers.protocol import Failure


class SettingsStore(QObject):
    """Holds the current Settings. The only writer of their file."""

    changed = Signal(object)
    """Settings, after the change."""
    failed = Signal(object)
    """Failure: the change is in force until the program ends, but could not be saved."""

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self._current = load_settings(path)

    @property
    def current(self) -> Settings:
        """The settings in force."""
        return self._current

    def update(self, **fields: Any) -> None:
        """Change some settings by field name, if anything is new. Raises TypeError for an unknown name."""
        settings = dataclasses.replace(self._current, **fields)
        if settings == self._current:
            return
        self._current = settings
        self.changed.emit(settings)
        try:
            save_settings(self._path, settings, fields)
        except StorageError as error:
            self.failed.emit(Failure(error.sentence, error.hint))
