"""What the user has set, and what the window remembers: read once, changed by `update`, saved at once, announced."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.errors import StorageError
from app.settings import (
    Settings,
    WindowState,
    load_settings,
    load_window_state,
    save_settings,
    save_window_state,
)
from workers.protocol import Failure


class SettingsStore(QObject):
    """Holds the current Settings. The window's only writer of their file."""

    changed = Signal(frozenset)
    """Names of the fields that have another value now."""
    failed = Signal(Failure)
    """The change is in force until the program ends, but could not be saved."""

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
        changed = _different(self._current, fields)
        if not changed:
            return
        self._current = dataclasses.replace(self._current, **fields)
        self.changed.emit(changed)
        try:
            save_settings(self._path, self._current, changed)
        except StorageError as error:
            self.failed.emit(Failure(error.sentence, error.hint))


class WindowStateStore(QObject):
    """Holds what the window remembers by itself, from one start to the next."""

    changed = Signal(frozenset)
    """Names of the fields that have another value now."""

    def __init__(self, path: Path, settings: Path, parent: QObject | None = None) -> None:
        """`settings` is the file where an older Bantam kept some of it."""
        super().__init__(parent)
        self._path = path
        self._current = load_window_state(path, settings)

    @property
    def current(self) -> WindowState:
        """What is remembered now."""
        return self._current

    def update(self, **fields: Any) -> None:
        """Remember some fields by name, if anything is new. Raises TypeError for an unknown name."""
        changed = _different(self._current, fields)
        if changed:
            self._current = dataclasses.replace(self._current, **fields)
            self.changed.emit(changed)
            save_window_state(self._path, self._current, changed)


def _different(current: Settings | WindowState, fields: dict[str, Any]) -> frozenset[str]:
    """Names of the fields whose value is another. Raises TypeError for an unknown name."""
    changed = dataclasses.replace(current, **fields)
    return frozenset(name for name in fields if getattr(changed, name) != getattr(current, name))
