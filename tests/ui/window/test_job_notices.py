"""What downloads, jobs and finds set off in the window: the strip, notices, offers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.hub.messages import DownloadPlan
from app.hub.part import Expected, Part
from app.hub.plan import plan_as_dict
from app.hub.repository import RemoteFile
from app.library.messages import FileCheck, Verified, VerifyModel
from app.quantize.messages import Quantize, Quantized
from app.recipe.messages import FinishModel
from app.system.paths import STARTER_MODEL, Paths
from tests.real_models import STDLIB_3M
from tests.ui.fake_engine import SAMPLE_MODEL, SAMPLE_STATISTICS, FakeEngine
from ui.look.theme import ThemeWatcher
from ui.models.models_model import ENTRY_ROLE
from ui.program import Program
from workers.downloads import DownloadState, DownloadStatus
from workers.jobs import Job, JobState, JobStatus
from workers.protocol import Failure

TIMEOUT_MS = 100_000


@pytest.fixture
def program(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)  # it listens to the application; the next test's must be the only one that does


def start(program: Program, qtbot: QtBot) -> None:
    program.show()
    qtbot.waitUntil(lambda: bool(program.models.entries), timeout=TIMEOUT_MS)


def plan(paths: Paths) -> DownloadPlan:
    return DownloadPlan(
        "http://127.0.0.1:9", "a/b", "c" * 40, "b, Q4_0", (RemoteFile("m.gguf", 100, "a" * 64),), paths.models / "a/b"
    )


def verified(check: FileCheck) -> JobStatus:
    result = Verified(STARTER_MODEL, check, "What came of it.")
    return JobStatus(1, Job("Verifying x", (VerifyModel(STARTER_MODEL),)), JobState.DONE, result=result)


def test_a_sound_model_is_a_notice_and_a_damaged_one_an_error(program: Program, qtbot: QtBot) -> None:
    program.hub.jobs.ended.emit(verified(FileCheck.SOUND))
    assert "What came of it." in program.window.notice.sentence
    assert program.window.error.sentence == ""
    program.hub.jobs.ended.emit(verified(FileCheck.DAMAGED))
    assert "What came of it." in program.window.error.sentence


def test_a_job_stands_in_the_strip_until_it_ends(program: Program) -> None:
    running = JobStatus(7, Job("Verifying x", (VerifyModel(STARTER_MODEL),)), JobState.RUNNING)
    program.hub.jobs.changed.emit(running)
    assert not program.window.strip.is_idle
    program.hub.jobs.ended.emit(verified(FileCheck.SOUND).__class__(7, running.job, JobState.CANCELLED))
    assert program.window.strip.is_idle


def test_a_finished_download_can_be_chatted_with(program: Program, engine: FakeEngine, paths: Paths) -> None:
    program.hub.downloads.ended.emit(DownloadStatus(1, plan(paths), DownloadState.DONE))
    assert program.window.notice.sentence == "b, Q4_0 is here."
    program.navigation.chat_with(paths.models / "a" / "b" / "m.gguf")
    assert [call[1][0].path for call in engine.calls if call[0] == "load"] == [paths.models / "a" / "b" / "m.gguf"]


def test_a_cancelled_download_says_nothing(program: Program, paths: Paths) -> None:
    program.hub.downloads.ended.emit(DownloadStatus(1, plan(paths), DownloadState.CANCELLED))
    assert program.window.notice.sentence == ""


def test_a_failed_download_stays_in_the_strip_with_its_reason(program: Program, paths: Paths) -> None:
    status = DownloadStatus(1, plan(paths), DownloadState.FAILED, failure=Failure("The disk is full."))
    program.hub.downloads.changed.emit(status)
    (row,) = program.window.strip.rows.values()
    assert row.words.toolTip() == "The disk is full."
    assert row.pause.toolTip() == "Try again"


def test_what_did_not_arrive_whole_is_offered(program: Program, qtbot: QtBot, paths: Paths) -> None:
    with Part(paths.models / "a" / "b" / "m.gguf", plan_as_dict(plan(paths))) as part:
        part.append(b"12345")
        part.expect(Expected("a" * 64, 100, is_sha256=True))
    start(program, qtbot)
    qtbot.waitUntil(lambda: "did not arrive whole" in program.window.notice.sentence, timeout=TIMEOUT_MS)


def test_models_of_other_programs_are_offered_once(program: Program, qtbot: QtBot) -> None:
    place = Path.home() / ".lmstudio" / "models" / "a" / "b" / "m.gguf"
    place.parent.mkdir(parents=True)
    shutil.copy(STARTER_MODEL, place)
    start(program, qtbot)
    qtbot.waitUntil(lambda: "LM Studio" in program.window.notice.sentence, timeout=TIMEOUT_MS)
    assert program.state.current.offered_files == (str(place),)
    assert program.settings.current.model_files == ()


def test_an_answer_is_put_beside_its_prediction(program: Program, engine: FakeEngine) -> None:
    recorded: list[tuple] = []
    program.hub.speed.record = lambda *both: recorded.append(both)  # type: ignore[method-assign]
    engine.answer_finished.emit(SAMPLE_STATISTICS)
    assert recorded == []  # nothing is loaded
    program.current.load(SAMPLE_MODEL.path)
    engine.step()
    engine.answer_finished.emit(SAMPLE_STATISTICS)
    assert recorded == [(SAMPLE_MODEL, SAMPLE_STATISTICS)]


def test_a_folder_becomes_a_model_that_can_be_chatted_with(
    program: Program, engine: FakeEngine, paths: Paths, qtbot: QtBot
) -> None:
    """The whole way with real children: the row, its offers, one click, the file, the notice."""
    folder = Path(shutil.copytree(STDLIB_3M, paths.models / "me" / "stdlib"))
    start(program, qtbot)
    page = program.models_page
    page.select(folder)
    smaller = page.details.smaller
    qtbot.waitUntil(smaller.four.button.isEnabled, timeout=TIMEOUT_MS)
    smaller.four.button.click()
    assert not program.window.strip.is_idle
    made = folder / "stdlib-Q4_K_M.gguf"
    qtbot.waitUntil(lambda: "is here" in program.window.notice.sentence, timeout=TIMEOUT_MS)
    assert made.is_file()
    qtbot.waitUntil(lambda: page.table.currentIndex().data(ENTRY_ROLE).path == made, timeout=TIMEOUT_MS)
    assert page.details.smaller.isHidden(), "it is quantized"
    program.navigation.chat_with(made)
    assert [call[1][0].path for call in engine.calls if call[0] == "load"][-1] == made


def test_quantizing_that_is_cancelled_leaves_nothing(program: Program, paths: Paths, qtbot: QtBot) -> None:
    folder = Path(shutil.copytree(STDLIB_3M, paths.models / "me" / "stdlib"))
    before = {path.name for path in folder.iterdir()}
    ended: list[JobStatus] = []
    program.hub.jobs.ended.connect(ended.append)
    program.hub.quantize((Quantize(folder, folder / "m.gguf", "Q4_K_M", calibrate=True),))
    (job,) = program.hub.jobs.jobs
    qtbot.waitUntil(lambda: program.hub.jobs.jobs[0].progress is not None, timeout=TIMEOUT_MS)
    assert program.sampler.sample().jobs_bytes > 0, "it is Bantam's, and no other program's"
    program.hub.jobs.cancel(job.id)
    qtbot.waitUntil(lambda: bool(ended), timeout=TIMEOUT_MS)
    assert ended[0].state is JobState.CANCELLED
    assert {path.name for path in folder.iterdir()} == before


def test_quantizing_that_fails_says_why(program: Program, paths: Paths) -> None:
    request = Quantize(paths.models, paths.models / "m.gguf", "Q4_0")
    failed = JobStatus(3, Job("Making m.gguf", (request,)), JobState.FAILED, failure=Failure("There is no room."))
    program.hub.jobs.ended.emit(failed)
    assert "There is no room." in program.window.error.sentence


def test_how_a_job_failed_is_told_until_the_next_of_its_kind_begins(program: Program, paths: Paths) -> None:
    job = Job("Making m.gguf", (Quantize(paths.models, paths.models / "m.gguf", "Q4_0"),))
    jobs, bar = program.hub.jobs, program.window.error
    jobs.ended.emit(JobStatus(3, job, JobState.FAILED, failure=Failure("There is no room.")))
    jobs.changed.emit(JobStatus(4, Job("Verifying x", (VerifyModel(STARTER_MODEL),)), JobState.RUNNING))
    assert bar.sentence == "There is no room."
    jobs.changed.emit(JobStatus(5, job, JobState.QUEUED))
    assert bar.sentence == ""
    bar.say("Something else.")
    jobs.changed.emit(JobStatus(6, job, JobState.QUEUED))
    assert bar.sentence == "Something else."


def test_what_was_made_is_said_with_both_sizes(program: Program, paths: Paths) -> None:
    result = Quantized(paths.models / "m-Q4_0.gguf", "Q4_0", "Q4_0", 5_000_000_000, 1_400_000_000, "a" * 64)
    job = Job("Making m-Q4_0.gguf", (Quantize(paths.models, result.path, "Q4_0"),))
    program.hub.jobs.ended.emit(JobStatus(3, job, JobState.DONE, result=result))
    assert program.window.notice.sentence == "m-Q4_0.gguf is here: 5.0 GB became 1.4 GB."


def test_what_is_made_beside_a_folder_that_was_added_is_listed(
    program: Program, paths: Paths, tmp_path: Path, qtbot: QtBot
) -> None:
    """As a recipe does for a model whose own folder was added: what comes out lies beside it."""
    folder = Path(shutil.copytree(STDLIB_3M, tmp_path / "mine" / "stdlib"))
    program.settings.update(model_folders=(str(folder),))
    start(program, qtbot)
    pruned = Path(shutil.copytree(STDLIB_3M, tmp_path / "mine" / "stdlib-ffn512"))
    file = Path(shutil.copy(STARTER_MODEL, pruned / "stdlib-ffn512-Q4_0.gguf"))
    stranger = Path(shutil.copytree(STDLIB_3M, tmp_path / "mine" / "not-made-here"))
    job = Job("x", (FinishModel(folder, pruned, (), "a"), Quantize(pruned, file, "Q4_0")))
    program.hub.jobs.ended.emit(JobStatus(3, job, JobState.DONE))

    def listed() -> set[Path]:
        return {entry.path for entry in program.models.entries}

    qtbot.waitUntil(lambda: {folder, pruned, file} <= listed(), timeout=TIMEOUT_MS)
    assert stranger not in listed()
    assert program.settings.current.model_folders == (str(folder), str(pruned))


def test_a_job_whose_result_is_not_there_adds_nothing(program: Program, tmp_path: Path) -> None:
    job = Job("x", (Quantize(tmp_path / "a.gguf", tmp_path / "b.gguf", "Q4_0"),))
    program.hub.jobs.ended.emit(JobStatus(3, job, JobState.FAILED, failure=Failure("There is no room.")))
    assert program.settings.current.model_files == ()
