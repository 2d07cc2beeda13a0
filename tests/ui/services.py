"""The services of the window as fixtures: an engine without a child, the others real, on a folder of the test's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication

from app.system.paths import Paths
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from workers.chat_storage import ChatStorage
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner


@pytest.fixture
def engine(qapp: QApplication) -> FakeEngine:
    """An engine with nothing loaded."""
    return FakeEngine()


@pytest.fixture
def loaded_engine(qapp: QApplication) -> FakeEngine:
    """An engine with SAMPLE_MODEL loaded."""
    return FakeEngine(loaded=SAMPLE_MODEL)


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
