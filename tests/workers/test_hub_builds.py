"""From original weights on the local hub to a model, with real children: the way, and what each bad end leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.fit.judgement import made_key
from app.hub.messages import DownloadPlan
from app.hub.plan import make_plan
from app.hub.repository import open_repository
from app.hub.transport import Hub
from app.hub.unfinished import unfinished_downloads
from app.library.manifest import read_manifest
from app.quantize.messages import Quantize, Quantized
from app.quantize.outputs import output_in
from app.system.paths import Paths
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub
from tests.real_models import STDLIB_3M
from tests.workers.conftest import TIMEOUT_MS
from workers.downloads import Downloads, DownloadState
from workers.fits import Fits
from workers.hub_builds import Makings, kept_words
from workers.jobs import JobQueue, JobState, JobStatus
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner

__all__ = ["hub"]

NAME = "me/stdlib"
TYPE = "Q4_K_M"


class Workshop:
    def __init__(self, paths: Paths, hub: HubServer, qtbot: QtBot) -> None:
        self.paths, self.hub, self.qtbot = paths, hub, qtbot
        self.tasks = TaskRunner()
        self.settings = SettingsStore(paths.settings)
        self.jobs = JobQueue(paths)
        self.downloads = Downloads(paths, self.settings, self.tasks, lambda _endpoint: "")
        self.makings = Makings(paths, self.jobs, self.downloads, self.tasks, lambda _endpoint: "")
        self.seen: list[JobStatus] = []
        self.ended: list[JobStatus] = []
        self.jobs.changed.connect(self.seen.append)
        self.jobs.ended.connect(self.ended.append)
        shutil.copytree(STDLIB_3M, hub.folder / NAME)

    @property
    def folder(self) -> Path:
        return self.paths.models / NAME

    @property
    def output(self) -> Path:
        return output_in(self.folder, TYPE)

    def plan(self) -> DownloadPlan:
        repository = open_repository(Hub(self.hub.endpoint), NAME)
        return make_plan(self.hub.endpoint, repository, repository.models[0], self.paths.models)

    def make(self) -> None:
        self.makings.make(self.plan(), Quantize(self.folder, self.output, TYPE))

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def end(self) -> JobStatus:
        self.wait(lambda: bool(self.ended))
        return self.ended[0]

    def close(self) -> None:
        self.makings.close()
        self.downloads.close()
        self.jobs.close()
        self.tasks.close()
        for one in (self.makings, self.downloads, self.jobs):
            shiboken6.delete(one)


@pytest.fixture
def workshop(paths: Paths, hub: HubServer, qtbot: QtBot) -> Iterator[Workshop]:
    workshop = Workshop(paths, hub, qtbot)
    yield workshop
    workshop.close()


def promised(workshop: Workshop) -> int:
    """The size that is shown before the click."""
    fits = Fits(workshop.paths, workshop.tasks, lambda: Hub(workshop.hub.endpoint))
    sizes: dict[str, int] = {}
    fits.judged.connect(lambda _repository, one: sizes.update({one.key: one.made.size_bytes}))
    fits.judge_all(open_repository(Hub(workshop.hub.endpoint), NAME))
    key = made_key("config.json", TYPE)
    workshop.wait(lambda: key in sizes)
    fits.close()
    shiboken6.delete(fits)
    return sizes[key]


def test_one_job_ends_with_a_model_of_the_promised_size(workshop: Workshop) -> None:
    size = promised(workshop)
    workshop.make()
    assert workshop.makings.types_in_work(workshop.folder) == {TYPE}
    assert workshop.makings.is_downloading(workshop.folder)
    status = workshop.end()
    assert status.state is JobState.DONE
    assert isinstance(status.result, Quantized)
    assert status.result.path == workshop.output
    assert workshop.output.stat().st_size == size
    assert {one.step for one in workshop.seen} == {0, 1}
    files = read_manifest(workshop.folder).files
    assert files[workshop.output.name].recipe == TYPE
    assert files["model.safetensors"].sha256
    workshop.wait(lambda: unfinished_downloads(workshop.paths) == ())
    assert workshop.makings.types_in_work(workshop.folder) == frozenset()
    assert workshop.downloads.statuses == ()
    assert not list(workshop.folder.glob("*.part*"))


def test_a_cancelled_download_waits_paused_and_can_be_made_again(workshop: Workshop) -> None:
    workshop.hub.add_fault(Fault.STALL, at=0.5, path="*.safetensors")
    workshop.make()
    part = workshop.folder / "model.safetensors.part"
    workshop.wait(lambda: part.exists() and part.stat().st_size > 1_000_000)
    workshop.jobs.cancel(workshop.jobs.jobs[0].id)
    status = workshop.end()
    assert status.state is JobState.CANCELLED
    assert kept_words(status) == "What has arrived of the download is kept, and can go on."
    (kept,) = workshop.downloads.statuses
    assert kept.state is DownloadState.PAUSED
    arrived = part.stat().st_size
    assert arrived > 1_000_000
    workshop.ended.clear()
    sent = workshop.hub.bytes_sent
    workshop.make()
    assert workshop.downloads.statuses == ()
    assert workshop.end().state is JobState.DONE
    whole = (STDLIB_3M / "model.safetensors").stat().st_size + (STDLIB_3M / "tokenizer.json").stat().st_size
    assert workshop.hub.bytes_sent - sent < whole - arrived / 2


def test_a_conversion_that_fails_keeps_the_download(workshop: Workshop) -> None:
    config = workshop.hub.folder / NAME / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["UnheardOfModel"]}))
    workshop.make()
    status = workshop.end()
    assert status.state is JobState.FAILED
    assert status.failure is not None
    assert "UnheardOf" in status.failure.sentence
    assert kept_words(status) == "The download is kept: it can be made smaller on the Models page."
    whole = workshop.folder / "model.safetensors"
    assert whole.read_bytes() == (STDLIB_3M / "model.safetensors").read_bytes()
    assert not list(workshop.folder.glob("*.gguf*"))
    assert workshop.downloads.statuses == ()
    workshop.wait(lambda: unfinished_downloads(workshop.paths) == ())


def test_a_cancelled_conversion_keeps_the_download(workshop: Workshop) -> None:
    workshop.makings.make(workshop.plan(), Quantize(workshop.folder, workshop.output, TYPE, calibrate=True))
    workshop.wait(lambda: any(one.step == 1 and one.progress is not None for one in workshop.seen))
    workshop.jobs.cancel(workshop.jobs.jobs[0].id)
    assert workshop.end().state is JobState.CANCELLED
    assert (workshop.folder / "model.safetensors").stat().st_size == (STDLIB_3M / "model.safetensors").stat().st_size
    assert not list(workshop.folder.glob("*.gguf*"))


def test_the_end_of_the_program_keeps_what_has_arrived(workshop: Workshop) -> None:
    workshop.hub.add_fault(Fault.STALL, at=0.5, path="*.safetensors")
    workshop.make()
    part = workshop.folder / "model.safetensors.part"
    workshop.wait(lambda: part.exists() and part.stat().st_size > 1_000_000)
    workshop.makings.close()
    workshop.downloads.close()
    workshop.jobs.close()
    (one,) = unfinished_downloads(workshop.paths)
    assert one.paused
    assert part.stat().st_size > 1_000_000
