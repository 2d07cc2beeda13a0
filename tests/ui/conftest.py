"""For the window's tests: the theme, an engine without a child, the real storage on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.system.paths import Paths, default_paths
from tests.ui.services import engine, loaded_engine, settings, storage, tasks
from ui.look.theme import ThemeWatcher
from ui.look.tokens import LIGHT, use

__all__ = ["engine", "loaded_engine", "settings", "storage", "tasks"]


@pytest.fixture(autouse=True)
def no_widgets_left(qapp: QApplication) -> Iterator[None]:
    """Delete the windows of a test after it: each change of the style is paid for every widget that still exists."""
    yield
    for widget in qapp.topLevelWidgets():
        if widget.parent() is None:
            widget.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[ThemeWatcher]:
    """The style in force, as in the program. Asked for by tests that look at sizes, colours or icons."""
    before = qapp.style().name(), qapp.font(), qapp.palette()
    watcher = ThemeWatcher(qapp)
    yield watcher
    qapp.setStyleSheet("")
    qapp.setStyle(before[0])
    qapp.setFont(before[1])
    qapp.setPalette(before[2])
    use(LIGHT)
    shiboken6.delete(watcher)  # at once: the next test's watcher must be the only one that listens


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    return default_paths().ensure()
