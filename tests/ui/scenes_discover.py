"""The Discover page in every state worth a look, on fakes of the hub's services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtWidgets import QButtonGroup

from app.fit.judgement import Judgement, refusal
from app.fit.verdict import budget_of
from app.hub.messages import Download, DownloadPhase, DownloadProgress
from app.hub.repository import Repository
from tests.ui.fake_hub import GATED, GB, LONG, ORIGINAL, QWEN, FakeHub, plan_for, repository, sample_results
from tests.ui.seen import clock_of
from ui.discover.page import DiscoverPage
from ui.navigation import Page
from workers.downloads import DownloadState, DownloadStatus
from workers.jobs import Job, JobState, JobStatus
from workers.protocol import Failure

_OFFLINE = Failure("huggingface.co cannot be reached.", "Are you online?", kind="OfflineError")


def _begin(stage: Any, *, offline: bool = False) -> FakeHub:
    """The page, before anything is searched."""
    hub = FakeHub()
    stage.program.services._hub = hub
    stage.window.show_page(Page.DISCOVER)
    stage.program.discover_page.set_budget(budget_of(16 * GB, int(9.4 * GB)), 16 * GB)
    return hub


def _searched(stage: Any, count: int = 50) -> FakeHub:
    hub = _begin(stage)
    page = stage.program.discover_page
    _search(page)
    hub.browser.results.emit(sample_results(count), True)
    hub.browser.search_ended.emit(True)
    return hub


def _search(page: DiscoverPage) -> None:
    page.search.field.setText("qwen3")
    clock = clock_of(page)
    clock.stop()
    clock.timeout.emit()


def _opened(stage: Any, opened: Repository, **options: Any) -> FakeHub:
    hub = _searched(stage)
    stage.program.discover_page.search.chosen.emit(opened.id)
    hub.open(opened, **options)
    return hub


def discover_first(stage: Any) -> None:
    _begin(stage)


def discover_narrow(stage: Any) -> None:
    stage.window.resize(900, 600)
    _opened(stage, QWEN)


def discover_searching(stage: Any) -> None:
    _begin(stage)
    page = stage.program.discover_page
    _search(page)


def discover_files(stage: Any) -> None:
    _opened(stage, QWEN)


def discover_keyboard(stage: Any) -> None:
    _opened(stage, QWEN)
    stage.program.discover_page.view.table.setFocus()


def discover_sum(stage: Any) -> None:
    _opened(stage, QWEN)
    stage.program.discover_page.view.details.explain.click()


def discover_reading(stage: Any) -> None:
    _opened(stage, QWEN, judged=False)


def discover_opening(stage: Any) -> None:
    _searched(stage)
    stage.program.discover_page.search.chosen.emit(QWEN.id)


def discover_downloading(stage: Any) -> None:
    hub = _opened(stage, QWEN)
    progress = DownloadProgress(DownloadPhase.DOWNLOADING, int(1.2 * GB), int(5.03 * GB), 11.3e6, 339)
    home = stage.paths.models
    running = DownloadStatus(1, plan_for(QWEN, 2, home), DownloadState.RUNNING, progress)
    paused = DownloadStatus(2, plan_for(QWEN, 0, home), DownloadState.PAUSED, progress)
    failure = Failure("The disk is full: 0.1 GB are free, 6.8 GB are needed.", "Free some space, then try again.")
    failed = DownloadStatus(3, plan_for(QWEN, 4, home), DownloadState.FAILED, progress, failure)
    hub.downloads.show(running, paused, failed)
    for status in (running, paused, failed):
        stage.window.strip.show_status(status)


def discover_here(stage: Any) -> None:
    folder = stage.paths.models / QWEN.id
    folder.mkdir(parents=True)
    (folder / QWEN.models[4].key).touch()
    _opened(stage, QWEN)


def discover_gated(stage: Any) -> None:
    _opened(stage, GATED, judged=False)
    hub = stage.program.hub
    failure = Failure("The author asks you to accept conditions first.", kind="GatedError")
    hub.fits.failed.emit(GATED.id, GATED.models[0].key, failure)


def discover_gated_wrong(stage: Any) -> None:
    discover_gated(stage)
    stage.program.hub.token_refused.emit("The token is wrong. Make a new one on the hub’s page “Access Tokens”.")


def discover_offline(stage: Any) -> None:
    hub = _begin(stage)
    page = stage.program.discover_page
    _search(page)
    hub.browser.is_offline = True
    hub.browser.search_failed.emit(_OFFLINE)


def discover_failed(stage: Any) -> None:
    hub = _begin(stage)
    page = stage.program.discover_page
    _search(page)
    hint = "It asks for a pause of 32 s. Try again after it."
    hub.browser.search_failed.emit(Failure("huggingface.co has had too many requests.", hint))


def discover_nothing_found(stage: Any) -> None:
    _searched(stage, 0)


def discover_open_failed(stage: Any) -> None:
    hub = _searched(stage)
    stage.program.discover_page.search.chosen.emit(QWEN.id)
    hub.browser.open_failed.emit(QWEN.id, _OFFLINE)


def discover_no_models(stage: Any) -> None:
    problem = "It holds only pickles (.bin): they can run programs when they are opened, so Bantam never does."
    _opened(stage, repository("someone/old-model", problem=problem))


def discover_cannot_tell(stage: Any) -> None:
    hub = _opened(stage, QWEN, judged=False)
    for model in QWEN.models:
        problem = "The engine does not know the architecture “qwen9”."
        hub.fits.judged.emit(QWEN.id, Judgement(model.key, problem=problem))


def discover_long(stage: Any) -> None:
    _opened(stage, LONG)


def discover_original(stage: Any) -> None:
    _opened_with_room(stage)


def discover_original_reading(stage: Any) -> None:
    _opened(stage, ORIGINAL, judged=False)


def discover_original_narrow(stage: Any) -> None:
    stage.window.resize(900, 600)
    discover_original(stage)


def discover_original_sum(stage: Any) -> None:
    discover_original_narrow(stage)
    stage.program.discover_page.view.details.explain.click()


def discover_original_no_room(stage: Any) -> None:
    _opened_with_room(stage, 30)


def discover_original_refused(stage: Any) -> None:
    hub = _opened(stage, ORIGINAL, judged=False)
    reason = "The model is quantized already (gptq). Take the original model, in 16 bits, or its GGUF files."
    hub.fits.judged.emit(ORIGINAL.id, refusal(ORIGINAL.models[0].key, reason))


def discover_original_making(stage: Any) -> None:
    _opened_with_room(stage)
    stage.program.discover_page.view.details.make.four.button.click()
    plan, request = stage.program.hub.makings.made[0]
    progress = DownloadProgress(DownloadPhase.DOWNLOADING, int(3.1 * GB), 16 * GB, 11.3e6, 1142)
    job = Job(f"Making {request.output.name}", (Download(plan), request))
    stage.window.strip.show_job(JobStatus(1, job, JobState.RUNNING, progress))


def discover_original_made(stage: Any) -> None:
    folder = stage.paths.models / ORIGINAL.id
    folder.mkdir(parents=True)
    for file in ORIGINAL.models[0].files:
        with (folder / file.path).open("wb") as stream:
            stream.truncate(file.size_bytes)
    (folder / "Qwen3-8B-Q4_K_M.gguf").touch()
    _opened_with_room(stage)


def _opened_with_room(stage: Any, gigabytes: int = 120) -> None:
    """On a disk with so much room, whatever the machine has on which this is drawn."""
    _opened(stage, ORIGINAL)
    page = stage.program.discover_page
    page._presence.free = lambda _folder: gigabytes * GB
    page.view.context.changed.emit(page.view.context.tokens)  # everything is worked out again


def discover_card(stage: Any) -> None:
    _opened(stage, QWEN)
    stage.program.discover_page.view.findChild(QButtonGroup).button(1).click()


def discover_unmeasured(stage: Any) -> None:
    hub = _begin(stage)
    hub.speed.speed = None
    stage.program.discover_page.search.chosen.emit(QWEN.id)
    hub.open(QWEN)


DISCOVER_SCENES: tuple[Callable[[Any], None], ...] = (
    discover_first,
    discover_searching,
    discover_files,
    discover_keyboard,
    discover_narrow,
    discover_sum,
    discover_reading,
    discover_opening,
    discover_downloading,
    discover_here,
    discover_gated,
    discover_gated_wrong,
    discover_offline,
    discover_failed,
    discover_nothing_found,
    discover_open_failed,
    discover_no_models,
    discover_cannot_tell,
    discover_long,
    discover_original,
    discover_original_reading,
    discover_original_narrow,
    discover_original_sum,
    discover_original_no_room,
    discover_original_refused,
    discover_original_making,
    discover_original_made,
    discover_card,
    discover_unmeasured,
)
