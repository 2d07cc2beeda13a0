"""The Discover page on fakes: what it does with a failed, half, or foreign thing, and with the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.fit.verdict import budget_of
from app.hub.repository import RemoteModel, Repository
from app.system.paths import Paths
from tests.ui.fake_hub import GB, QWEN, FakeHub, plan_for, sample_results
from tests.ui.seen import clock_of
from ui.discover.page import DiscoverPage
from ui.look.theme import ThemeWatcher
from workers.downloads import DownloadState, DownloadStatus
from workers.protocol import Failure
from workers.settings_store import SettingsStore

OFFLINE = Failure("huggingface.co cannot be reached.", "Are you online?", kind="OfflineError")


@pytest.fixture
def hub(qapp: QApplication) -> FakeHub:
    return FakeHub()


@pytest.fixture
def page(theme: ThemeWatcher, hub: FakeHub, settings: SettingsStore, paths: Paths, qtbot: QtBot) -> DiscoverPage:
    page = DiscoverPage(hub.browser, hub.fits, hub.downloads, hub.makings, hub.speed, settings, paths)  # type: ignore[arg-type]
    qtbot.addWidget(page)
    page.resize(1000, 640)
    page.set_budget(budget_of(16 * GB, int(9.4 * GB)), 16 * GB)
    page.show()
    qtbot.waitExposed(page)
    return page


def opened(hub: FakeHub) -> list[str]:
    return [argument for word, argument in hub.browser.calls if word == "open"]


def show(page: DiscoverPage, hub: FakeHub, repository: Repository) -> None:
    page.search.chosen.emit(repository.id)
    hub.open(repository)


def put(paths: Paths, repository: Repository, model: RemoteModel, count: int) -> Path:
    """The first `count` files of a model, sparse, in their full size."""
    for file in model.files[:count]:
        path = paths.models / repository.id / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(file.size_bytes)
    return paths.models / repository.id / model.key


def click_row(page: DiscoverPage, qtbot: QtBot, row: int) -> None:
    view = page.search.list
    place = view.visualRect(view.model().index(row, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_click_opens_one_repository_and_a_second_click_nothing_more(
    page: DiscoverPage, hub: FakeHub, qtbot: QtBot
) -> None:
    click_row(page, qtbot, 1)
    click_row(page, qtbot, 1)
    assert opened(hub) == [page.search.results.rows[1].summary.id]


def test_what_could_not_be_opened_can_be_tried_again(page: DiscoverPage, hub: FakeHub, qtbot: QtBot) -> None:
    click_row(page, qtbot, 0)
    hub.browser.open_failed.emit(opened(hub)[0], OFFLINE)
    assert page.view.nothing.action.isVisible()
    page.view.nothing.action.click()
    assert not page.view.nothing.action.isVisible()
    hub.browser.open_failed.emit(opened(hub)[0], OFFLINE)
    click_row(page, qtbot, 0)
    assert opened(hub) == [page.search.results.rows[0].summary.id] * 3


def test_to_pass_by_with_tab_opens_nothing_and_enter_opens(page: DiscoverPage, hub: FakeHub, qtbot: QtBot) -> None:
    page.search.list.setFocus(Qt.FocusReason.TabFocusReason)
    assert not clock_of(page.search.list).isActive()
    assert opened(hub) == []
    qtbot.keyClick(page.search.list, Qt.Key.Key_Return)
    assert opened(hub) == [page.search.results.rows[0].summary.id]


def test_the_arrow_keys_open_only_the_row_on_which_they_rest(page: DiscoverPage, hub: FakeHub, qtbot: QtBot) -> None:
    page.search.list.setFocus(Qt.FocusReason.TabFocusReason)
    for _ in range(3):
        qtbot.keyClick(page.search.list, Qt.Key.Key_Down)
    assert opened(hub) == []
    qtbot.waitUntil(lambda: bool(opened(hub)))
    assert opened(hub) == [page.search.results.rows[3].summary.id]


def test_enter_on_a_file_downloads_it(page: DiscoverPage, hub: FakeHub, qtbot: QtBot) -> None:
    show(page, hub, QWEN)
    qtbot.keyClick(page.view.table, Qt.Key.Key_Return)
    ((word, plan),) = hub.downloads.calls
    assert (word, plan.files[0].path) == ("add", "Qwen3-8B-Q6_K.gguf")


def test_the_heading_belongs_to_the_rows_below_it(page: DiscoverPage, hub: FakeHub) -> None:
    page.search.field.setText("qwen")
    page.search.show_busy()
    hub.browser.is_offline = True
    hub.browser.search_failed.emit(OFFLINE)
    assert page.search.heading.text() == "Good first models for this computer"
    hub.browser.results.emit(sample_results(3), True)
    hub.browser.search_ended.emit(False)
    assert page.search.heading.text() == "On the hub"


@pytest.mark.parametrize(("parts", "word"), [(1, "Download"), (2, "Chat")])
def test_a_split_model_is_here_when_all_its_parts_are(
    page: DiscoverPage, hub: FakeHub, paths: Paths, parts: int, word: str
) -> None:
    put(paths, QWEN, QWEN.models[-1], parts)
    show(page, hub, QWEN)
    page.view.table.setCurrentIndex(page.view.table.model().index(len(QWEN.models) - 1, 0))
    assert page.view.details.action.text() == word


def test_a_file_of_another_length_is_not_this_model(page: DiscoverPage, hub: FakeHub, paths: Paths) -> None:
    put(paths, QWEN, QWEN.models[4], 1).write_bytes(b"x")
    show(page, hub, QWEN)
    assert page.view.details.action.text() == "Download"


def test_why_a_download_stopped_stands_where_it_is_tried_again(page: DiscoverPage, hub: FakeHub, paths: Paths) -> None:
    show(page, hub, QWEN)
    failure = Failure("The disk is full.", "Free some space.")
    hub.downloads.show(DownloadStatus(7, plan_for(QWEN, 4, paths.models), DownloadState.FAILED, failure=failure))
    assert page.view.details.note.text() == "The download stopped. The disk is full. Free some space."
    assert page.view.details.action.text() == "Try again"
    page.view.details.action.click()
    assert hub.downloads.calls == [("resume", 7)]


@pytest.mark.parametrize("state", [DownloadState.PAUSING, DownloadState.CANCELLING])
def test_nothing_can_be_pressed_while_a_download_comes_to_its_end(
    page: DiscoverPage, hub: FakeHub, paths: Paths, state: DownloadState
) -> None:
    show(page, hub, QWEN)
    hub.downloads.show(DownloadStatus(7, plan_for(QWEN, 4, paths.models), state))
    assert not page.view.details.action.isEnabled()


def test_less_free_memory_moves_the_advice_and_not_the_selection(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub, QWEN)
    page.set_budget(budget_of(16 * GB, int(6.4 * GB)), 16 * GB)
    assert [row.model.label for row in page.view.table.model().rows if row.is_best] == ["Q4_K_M"]
    row = page.view.table.model().rows[page.view.table.currentIndex().row()]
    assert row.model.label == "Q6_K"
