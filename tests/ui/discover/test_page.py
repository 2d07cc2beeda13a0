"""The Discover page with its real services, against the local hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.engine.messages import KvType, MachineSpeed, TensorSpeed
from app.fit.speed import SpeedBook, change_speed_book
from app.fit.verdict import budget_of
from app.system.paths import Paths
from tests.app.hub.gguf_headers import llama_8b
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub, starter_repository
from ui.discover.page import DiscoverPage
from ui.discover.table import RemoteColumn, RemoteRow, remote_cell
from ui.look.theme import ThemeWatcher
from ui.window.main_window import DownloadStrip
from workers.downloads import DownloadState, DownloadStatus
from workers.hub_services import HubServices
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

__all__ = ["hub", "starter_repository"]

GB = 10**9
SPEED = MachineSpeed((TensorSpeed("Q4_0", 30.0 * GB), TensorSpeed("Q8_0", 30.0 * GB)), 20.0 * GB, 0.02, 2, "2026-01-01")
TIMEOUT_MS = 20_000


class Stage:
    def __init__(self, page: DiscoverPage, services: HubServices, qtbot: QtBot) -> None:
        self.page, self.services, self.qtbot = page, services, qtbot
        self.ended: list[DownloadStatus] = []
        services.downloads.ended.connect(self.ended.append)

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def search(self, text: str) -> list[str]:
        ends: list[object] = []
        self.services.browser.search_ended.connect(ends.append)
        self.services.browser.search_failed.connect(ends.append)
        self.page.search.field.setText(text)
        self.page.search.confirmed.emit()
        self.wait(lambda: bool(ends))
        return self.found

    @property
    def found(self) -> list[str]:
        return [row.summary.id for row in self.page.search.results.rows]

    def open(self, repository: str) -> None:
        self.page.search.chosen.emit(repository)
        self.wait(lambda: bool(self.listed) and all(row.choice for row in self.listed))

    @property
    def listed(self) -> tuple[RemoteRow, ...]:
        return self.page.view.table.model().rows

    @property
    def rows(self) -> dict[str, list[str]]:
        return {row.model.label: [remote_cell(row, column) for column in RemoteColumn] for row in self.listed}

    @property
    def best(self) -> list[str]:
        return [row.model.label for row in self.listed if row.is_best]


@pytest.fixture
def stage(
    theme: ThemeWatcher,
    hub: HubServer,
    paths: Paths,
    settings: SettingsStore,
    tasks: TaskRunner,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    change_speed_book(paths.speed, lambda _book: SpeedBook(SPEED))
    services = HubServices(paths, settings, tasks)
    page = DiscoverPage(
        services.browser, services.fits, services.downloads, services.makings, services.speed, settings, paths
    )
    page.token_given.connect(services.give_token)
    services.token_refused.connect(page.view.access.say)
    services.token_changed.connect(lambda kept, sentence: page.token_kept(sentence) if kept and sentence else None)
    page.set_budget(budget_of(16 * GB, 9 * GB), 16 * GB)
    qtbot.addWidget(page)
    page.resize(1000, 640)
    page.show()
    yield Stage(page, services, qtbot)
    services.close()


@pytest.fixture
def several(hub: HubServer) -> str:
    """One model in three quantizations; the sizes are what matters."""
    for label, factor in (("Q4_0", 1.0), ("Q8_0", 1.9), ("BF16", 3.7)):
        path = llama_8b(hub.folder / "big" / "llama-GGUF" / f"llama-{label}.gguf", vocabulary=2000, merges=100)
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * factor))
    hub.touch("big/llama-GGUF", ".hub.json", b'{"quick_hash": true, "license": "mit"}')
    return "big/llama-GGUF"


def test_before_a_search_good_first_models_are_shown_without_a_request(stage: Stage, hub: HubServer) -> None:
    assert "Qwen/Qwen3-8B-GGUF" in stage.found
    assert hub.requests == []


def test_a_search_and_what_its_first_result_needs(stage: Stage, several: str) -> None:
    assert stage.search("llama") == [several]
    stage.open(several)
    assert [cells[RemoteColumn.VERDICT] for cells in stage.rows.values()] == ["fits", "tight", "too big"]
    assert stage.best == ["Q4_0"]
    sentence = stage.page.view.details.sentence.text()
    assert sentence.startswith("Q4_0 needs 4.")
    assert "free and should take about" in sentence


def test_the_slider_moves_the_verdicts_without_asking_anybody(stage: Stage, several: str, hub: HubServer) -> None:
    stage.open(several)
    asked = len(hub.requests)
    before = stage.rows
    stage.page.view.context.slider.setValue(stage.page.view.context.slider.maximum())
    assert stage.rows["Q4_0"][RemoteColumn.VERDICT] == "too big"
    assert stage.rows["Q4_0"][RemoteColumn.NEEDS] != before["Q4_0"][RemoteColumn.NEEDS]
    assert len(hub.requests) == asked


def test_a_smaller_cache_type_is_seen_at_once(stage: Stage, several: str, settings: SettingsStore) -> None:
    stage.open(several)
    before = stage.rows["Q4_0"][RemoteColumn.SPEED]
    settings.update(context_tokens=4096, kv_type=KvType.Q4_0)
    assert stage.rows["Q4_0"][RemoteColumn.SPEED] != before


def test_more_memory_is_another_advice(stage: Stage, several: str) -> None:
    stage.open(several)
    stage.page.set_budget(budget_of(64 * GB, 60 * GB), 64 * GB)
    assert stage.rows["BF16"][RemoteColumn.VERDICT] == "fits"


def test_a_download_from_the_button_to_the_chat(stage: Stage, starter_repository: str, paths: Paths) -> None:
    stage.open(starter_repository)
    details = stage.page.view.details
    assert details.action.text() == "Download"
    details.action.click()
    assert details.action.text() == "Pause"
    stage.wait(lambda: bool(stage.ended))
    assert stage.ended[0].state is DownloadState.DONE
    assert details.action.text() == "Chat"
    with stage.qtbot.waitSignal(stage.page.chat_requested) as asked:
        details.action.click()
    assert asked.args[0].is_relative_to(paths.models)


def test_offline_is_said_and_what_was_there_stays(stage: Stage, several: str, hub: HubServer) -> None:
    stage.search("llama")
    hub.stop()
    stage.search("other")
    assert stage.found == [several]
    assert "You are offline" in stage.page.search.state.text()
    hub.start()
    stage.page.search.again.click()
    stage.wait(lambda: stage.found == [])
    assert "Nothing found" in stage.page.search.state.text()


def test_the_way_into_a_gated_repository(stage: Stage, starter_repository: str, hub: HubServer) -> None:
    hub.gate(starter_repository, "hf_right")
    hub.touch(starter_repository, ".hub.json", b'{"gated": "auto"}')
    stage.open(starter_repository)
    access = stage.page.view.access
    assert access.isVisible()
    assert stage.rows["Q8_0"][RemoteColumn.VERDICT] == "cannot tell"
    stage.page.view.details.action.click()
    stage.wait(lambda: bool(access.state.text()))
    assert "conditions" in access.state.text()
    access.field.setText("hf_wrong")
    access.save.click()
    stage.wait(lambda: "the token is wrong" in access.state.text())
    assert not stage.services.has_token
    access.field.setText("hf_right")
    access.save.click()
    stage.wait(lambda: bool(stage.ended))
    assert stage.ended[0].state is DownloadState.DONE
    assert "of someone is kept" in access.state.text()


def test_a_repository_without_a_usable_model_says_why(stage: Stage, hub: HubServer) -> None:
    hub.touch("bad/pickles", "pytorch_model.bin", b"x")
    stage.page.search.chosen.emit("bad/pickles")
    stage.wait(lambda: stage.page.view.problem.isVisible())
    assert "pickles" in stage.page.view.problem.text.text()
    assert not stage.page.view.details.isVisible()


def test_one_that_is_not_there_says_so(stage: Stage) -> None:
    stage.page.search.chosen.emit("nobody/nothing")
    stage.wait(lambda: "does not have" in stage.page.view.nothing.title.text())


def test_a_name_that_is_markup_is_shown_as_it_is(stage: Stage, hub: HubServer) -> None:
    hub.touch("a/b", "m-Q4_0.gguf", b"GGUF<b>not bold</b>")
    hub.touch("a/b", "README.md", b"<script>x</script>\n\n**Bold** <b>words</b>")
    stage.open("a/b")
    stage.wait(lambda: "Bold" in stage.page.view.card.toPlainText())
    assert "<" not in stage.page.view.card.toPlainText()


def test_an_unencrypted_mirror_is_warned_of(stage: Stage, settings: SettingsStore) -> None:
    settings.update(hub_endpoint="http://mirror.example")
    assert "not encrypted" in stage.page.search.mirror.text()


def test_a_stalled_header_does_not_hold_up_another_repository(
    stage: Stage, starter_repository: str, several: str, hub: HubServer
) -> None:
    hub.add_fault(Fault.STALL, at=0.0, path="*stdlib*")
    stage.page.search.chosen.emit(starter_repository)
    stage.wait(lambda: any(record.server == "cdn" for record in hub.requests))
    stage.open(several)
    assert stage.best == ["Q4_0"]


def test_the_strip_shows_a_download_from_its_start_to_its_end(
    stage: Stage, starter_repository: str, hub: HubServer
) -> None:
    strip = DownloadStrip()
    stage.qtbot.addWidget(strip)
    stage.services.downloads.changed.connect(strip.show_status)
    stage.services.downloads.ended.connect(lambda status: strip.remove(status.id))
    strip.pause_requested.connect(stage.services.downloads.pause)
    strip.resume_requested.connect(stage.services.downloads.resume)
    stage.open(starter_repository)
    hub.add_fault(Fault.STALL, at=0.5, path="*.gguf", times=1, server="cdn")
    stage.page.view.details.action.click()
    (row,) = strip.rows.values()
    stage.wait(lambda: " of 22 MB" in row.words.text())
    row.pause.click()
    stage.wait(lambda: row.words.text().startswith("Paused at") and row.pause.isEnabled())
    row.pause.click()
    stage.wait(lambda: not strip.rows)
    assert not strip.isVisible()
