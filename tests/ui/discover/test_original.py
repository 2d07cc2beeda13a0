"""Original weights on the Discover page, on fakes: what can be made of them, what it needs, and what is pressed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.fit.judgement import MADE_TYPES, refusal
from app.fit.verdict import budget_of
from app.hub.repository import Repository
from app.quantize.messages import Quantize
from app.system.paths import Paths
from tests.ui.fake_hub import GB, ORIGINAL, FakeHub, plan_for
from ui.discover.page import DiscoverPage
from ui.discover.table import RemoteColumn, remote_cell
from ui.look.theme import ThemeWatcher
from workers.downloads import DownloadState, DownloadStatus
from workers.protocol import Failure
from workers.settings_store import SettingsStore

MODEL = ORIGINAL.models[0]


@pytest.fixture
def hub(qapp: QApplication) -> FakeHub:
    return FakeHub()


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that are free on the disk, a list of one."""
    free = [120 * GB]
    monkeypatch.setattr("ui.discover.make_from_hub.free_bytes", lambda _folder: free[0])
    return free


@pytest.fixture
def page(
    theme: ThemeWatcher, hub: FakeHub, settings: SettingsStore, paths: Paths, qtbot: QtBot, free: list[int]
) -> DiscoverPage:
    page = DiscoverPage(hub.browser, hub.fits, hub.downloads, hub.makings, hub.speed, settings, paths)  # type: ignore[arg-type]
    qtbot.addWidget(page)
    page.resize(1000, 640)
    page.set_budget(budget_of(16 * GB, int(9.4 * GB)), 16 * GB)
    page.show()
    qtbot.waitExposed(page)
    return page


def show(page: DiscoverPage, hub: FakeHub, repository: Repository = ORIGINAL, *, judged: bool = True) -> None:
    page.search.chosen.emit(repository.id)
    hub.open(repository, judged=judged)


def put(paths: Paths, *names: str) -> Path:
    """All files of the original weights, sparse, and files of these names beside them."""
    folder = paths.models / ORIGINAL.id
    folder.mkdir(parents=True)
    for file in MODEL.files:
        with (folder / file.path).open("wb") as stream:
            stream.truncate(file.size_bytes)
    for name in names:
        (folder / name).touch()
    return folder


def test_each_type_has_a_row_with_its_own_size_and_memory(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    rows = page.view.table.model().rows
    assert tuple(row.name for row in rows) == MADE_TYPES
    assert [remote_cell(row, RemoteColumn.SIZE) for row in rows] == ["5.0 GB", "8.5 GB", "16.0 GB"]
    assert len({remote_cell(row, RemoteColumn.NEEDS) for row in rows}) == 3
    assert [row.name for row in rows if row.is_best] == ["Q4_K_M"]


def test_the_buttons_say_what_comes_of_them(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    four = page.view.details.make.four
    assert four.button.text() == "Download and make a Q4"
    assert four.size_line.text() == "5.0 GB on disk"
    assert "GB of memory, about " in four.cost.text()
    assert four.disk.text() == "Needs 37.0 GB of free disk while it works"  # 16 to download, 16 in 16 bits, 5 to keep
    assert page.view.details.action.isHidden()


def test_nothing_can_be_made_before_it_is_judged(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub, judged=False)
    make = page.view.details.make
    assert not make.four.button.isEnabled()
    assert make.four.size_line.text() == "Working out the size…"


@pytest.mark.parametrize("kind", ["Q4_K_M", "Q8_0"])
def test_one_click_asks_for_the_whole_way(page: DiscoverPage, hub: FakeHub, paths: Paths, kind: str) -> None:
    show(page, hub)
    page.view.details.make.cards[kind].button.click()
    ((plan, request),) = hub.makings.made
    folder = paths.models / ORIGINAL.id
    assert request == Quantize(folder, folder / f"Qwen3-8B-{kind}.gguf", kind)
    assert plan.files == MODEL.files
    assert plan.reserve_bytes > 16 * GB
    assert hub.downloads.calls == []


def test_enter_on_the_row_makes_its_type(page: DiscoverPage, hub: FakeHub, qtbot: QtBot) -> None:
    show(page, hub)
    page.view.table.setCurrentIndex(page.view.table.model().index(1, 0))
    qtbot.keyClick(page.view.table, Qt.Key.Key_Return)
    assert [request.type for _, request in hub.makings.made] == ["Q8_0"]


def test_what_is_being_made_cannot_be_made_twice(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    make = page.view.details.make
    make.four.button.click()
    assert [row.state for row in page.view.table.model().rows] == ["in the making", "downloading", "downloading"]
    assert not make.four.button.isEnabled()
    assert make.four.disk.text() == "In the list of jobs below"
    assert page.view.details.only.isHidden()


def test_the_download_alone_is_still_there(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    page.view.details.only.click()
    ((word, plan),) = hub.downloads.calls
    assert (word, plan.files) == ("add", MODEL.files)
    assert hub.makings.made == []


def test_too_small_a_disk_is_said_before(page: DiscoverPage, hub: FakeHub, free: list[int]) -> None:
    free[0] = 38 * GB
    show(page, hub)
    make = page.view.details.make
    assert make.four.button.isEnabled()
    assert not make.eight.button.isEnabled()
    assert make.eight.disk.text() == "Needs 40.5 GB of free disk: only 37.8 GB are free"


def test_what_is_downloaded_is_only_quantized(page: DiscoverPage, hub: FakeHub, paths: Paths, qtbot: QtBot) -> None:
    put(paths)
    show(page, hub)
    four = page.view.details.make.four
    assert four.button.text() == "Make a Q4"
    assert four.disk.text() == "Needs 21.0 GB of free disk while it works"
    with qtbot.waitSignal(page.quantize_requested) as asked:
        four.button.click()
    assert asked.args[0].type == "Q4_K_M"
    assert hub.makings.made == []


def test_what_was_made_can_be_chatted_with(page: DiscoverPage, hub: FakeHub, paths: Paths, qtbot: QtBot) -> None:
    folder = put(paths, "Qwen3-8B-Q4_K_M.gguf")
    show(page, hub)
    assert [row.state for row in page.view.table.model().rows] == ["here", "downloaded", "downloaded"]
    assert page.view.details.make.four.disk.text() == "Made already"
    assert page.view.details.make.eight.button.isEnabled()
    with qtbot.waitSignal(page.chat_requested) as asked:
        page.view.details.action.click()
    assert asked.args == [folder / "Qwen3-8B-Q4_K_M.gguf"]


def test_a_refused_conversion_is_one_row_with_its_reason(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub, judged=False)
    hub.fits.judged.emit(ORIGINAL.id, refusal(MODEL.key, "The architecture Mamba2ForCausalLM is not known."))
    (row,) = page.view.table.model().rows
    details = page.view.details
    assert remote_cell(row, RemoteColumn.VERDICT) == "not possible"
    assert details.sentence.text() == (
        "Original weights: cannot be converted. The architecture Mamba2ForCausalLM is not known."
    )
    assert details.make.isHidden()
    assert not details.only.isHidden()


def test_where_the_header_cannot_be_had_nothing_is_claimed(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub, judged=False)
    hub.fits.failed.emit(ORIGINAL.id, MODEL.key, Failure("huggingface.co cannot be reached."))
    (row,) = page.view.table.model().rows
    assert remote_cell(row, RemoteColumn.VERDICT) == "cannot tell"
    assert page.view.details.make.isHidden()


@pytest.mark.parametrize(
    ("state", "word", "can_make"),
    [
        (DownloadState.RUNNING, "Pause", False),
        (DownloadState.PAUSED, "Go on", True),
        (DownloadState.FAILED, "Try again", True),
    ],
)
def test_a_download_of_the_same_weights(
    page: DiscoverPage, hub: FakeHub, paths: Paths, state: DownloadState, word: str, can_make: bool
) -> None:
    show(page, hub)
    hub.downloads.show(DownloadStatus(7, plan_for(ORIGINAL, 0, paths.models), state))
    assert page.view.details.action.text() == word
    assert not page.view.details.action.isHidden()
    assert page.view.details.make.four.button.isEnabled() is can_make


def test_a_narrow_page_shows_the_button_of_the_chosen_row(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    make = page.view.details.make
    assert make.four.isVisibleTo(page)
    assert make.eight.isVisibleTo(page)
    page.view.details.make.set_narrow(True)
    page.view.table.setCurrentIndex(page.view.table.model().index(1, 0))
    assert not make.four.isVisibleTo(page)
    assert make.eight.isVisibleTo(page)


def test_the_sum_stands_in_the_place_of_the_buttons(page: DiscoverPage, hub: FakeHub) -> None:
    show(page, hub)
    page.view.details.explain.click()
    assert page.view.details.make.isHidden()
    page.view.details.explain.click()
    assert not page.view.details.make.isHidden()
