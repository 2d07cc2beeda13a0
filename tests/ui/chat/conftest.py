from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from tests.ui.fake_engine import FakeEngine
from ui.chat.page import ChatPage
from workers.chat_storage import ChatStorage
from workers.tasks import TaskRunner


@pytest.fixture
def make_page(
    qtbot: QtBot, storage: ChatStorage, settings: Any, tasks: TaskRunner, theme: object
) -> Iterator[Callable[[FakeEngine], ChatPage]]:
    def make(engine: FakeEngine) -> ChatPage:
        page = ChatPage(engine, storage, settings, tasks)
        qtbot.addWidget(page)
        page.resize(1100, 700)
        page.show()
        return page

    yield make
    storage.close()
    tasks.close()


@pytest.fixture
def page(make_page: Callable[[FakeEngine], ChatPage], loaded_engine: FakeEngine) -> ChatPage:
    return make_page(loaded_engine)
