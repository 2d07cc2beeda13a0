"""For the window's tests: the theme, an engine without a child, the real storage on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.system.paths import Paths, default_paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from ui.look.theme import ThemeWatcher
from ui.look.tokens import LIGHT, use
from workers.chat_storage import ChatStorage
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner


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
def engine(qapp: QApplication) -> FakeEngine:
    """An engine with nothing loaded."""
    return FakeEngine()


@pytest.fixture
def loaded_engine(qapp: QApplication) -> FakeEngine:
    """An engine with SAMPLE_MODEL loaded."""
    return FakeEngine(loaded=SAMPLE_MODEL)


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    return default_paths().ensure()


@pytest.fixture
def storage(qapp: QApplication, paths: Paths) -> Iterator[ChatStorage]:
    """The real ChatStorage on a new database."""
    storage = ChatStorage(paths.chats)
    yield storage
    storage.close()


@pytest.fixture
def settings(qapp: QApplication, paths: Paths) -> SettingsStore:
    """The real SettingsStore on a new file."""
    return SettingsStore(paths.settings)


@pytest.fixture
def tasks(qapp: QApplication) -> Iterator[TaskRunner]:
    """The real TaskRunner."""
    tasks = TaskRunner()
    yield tasks
    tasks.close()
