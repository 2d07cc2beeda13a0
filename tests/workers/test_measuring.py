"""A measurement as a job: the child writes the ledger, and the copy of the reference goes however it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine import machine_record
from app.measure.ledger import figures_of
from app.measure.messages import MeasureQuality
from app.operation import Context
from app.system.paths import Paths, default_paths
from tests.real_models import EVAL_CODE, STDLIB_3M
from workers.jobs import Job, JobQueue, JobState, JobStatus

TIMEOUT_MS = 60_000


@pytest.fixture
def paths(bantam_home: Path) -> Paths:
    paths = default_paths().ensure()
    machine_record.remember_safe_mode(paths.machine, "a test")
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source with a Q8_0 variant in it."""
    folder = tmp_path / "stdlib-3m"
    shutil.copytree(STDLIB_3M, folder)
    convert(Convert(folder, folder / "q8.gguf", "q8_0"), Context())
    return folder


def job(folder: Path, paths: Paths) -> Job:
    request = MeasureQuality(folder / "q8.gguf", folder, text=EVAL_CODE, context_tokens=128, chunks=2, threads=1)
    copy = paths.reference_copy(folder)
    return Job("Measuring", (request,), (copy, copy.with_name(copy.name + ".part")))


def left(folder: Path, paths: Paths) -> list[Path]:
    return list(paths.reference_copy(folder).parent.glob("*"))


def test_the_child_writes_the_ledger(qtbot: QtBot, paths: Paths, folder: Path) -> None:
    jobs = JobQueue(paths)
    with qtbot.waitSignal(jobs.ended, timeout=TIMEOUT_MS) as ended:
        jobs.add(job(folder, paths))
    assert ended.args[0].state is JobState.DONE, ended.args[0].failure
    measurement = figures_of(paths.ledger, [folder, folder / "q8.gguf"])[folder / "q8.gguf"].measurements[0]
    assert measurement.reference == folder
    assert measurement.kl_mean == ended.args[0].result.kl_mean
    assert left(folder, paths) == []


def test_a_cancelled_one_leaves_neither_figures_nor_files(qtbot: QtBot, paths: Paths, folder: Path) -> None:
    jobs = JobQueue(paths)

    def cancel(status: JobStatus) -> None:
        if status.progress is not None:
            jobs.cancel(status.id)

    jobs.changed.connect(cancel)
    with qtbot.waitSignal(jobs.ended, timeout=TIMEOUT_MS) as ended:
        jobs.add(job(folder, paths))
    assert ended.args[0].state is JobState.CANCELLED
    assert left(folder, paths) == []
    assert figures_of(paths.ledger, [folder / "q8.gguf"]) == {}
