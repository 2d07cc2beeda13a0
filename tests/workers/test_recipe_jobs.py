"""A recipe as one job of a real child: what it leaves, what it tells, what a cancel keeps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.library.library import scan
from app.measure.families import families
from app.measure.ledger import figures_of
from app.measure.messages import MeasureQuality, Quality
from app.operation import Request
from app.prune.messages import Prune, Pruned, PruneMethod
from app.quantize.messages import Quantize, Quantized
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep
from app.recover.messages import Recover, Recovered
from app.settings import Settings
from app.system.paths import Paths
from tests.real_models import EVAL_CODE, STDLIB_3M
from workers.jobs import Job, JobQueue, JobState, JobStatus
from workers.recipe_plans import recipe_job

TIMEOUT_MS = 300_000
CUT = PruneStep(PruneMethod.FFN, 0.3)
QUANTIZE = QuantizeStep(("Q4_K_M",), calibrate=False)


@pytest.fixture
def source(paths: Paths) -> Path:
    return Path(shutil.copytree(STDLIB_3M, paths.models / "me" / "stdlib"))


@pytest.fixture
def queue(paths: Paths, qapp: object) -> Iterator[JobQueue]:
    queue = JobQueue(paths)
    yield queue
    queue.close()
    shiboken6.delete(queue)


def quick(job: Job, folder: Path) -> Job:
    """The same with little text."""
    text = folder / "text.txt"
    text.write_text(EVAL_CODE.read_text()[:12_000])

    def less(request: Request) -> Request:
        if isinstance(request, Prune):
            return replace(request, text=text, chunks=4, context_tokens=64, threads=1)
        if isinstance(request, Recover):
            return replace(request, text=str(text), context_tokens=64, batch_windows=2, threads=1)
        if isinstance(request, MeasureQuality):
            return replace(request, text=text, context_tokens=64, chunks=4, threads=1, speed=False)
        return replace(request, threads=1) if isinstance(request, Quantize) else request

    return replace(job, requests=tuple(map(less, job.requests)))


def run(queue: JobQueue, job: Job, qtbot: QtBot) -> JobStatus:
    ends: list[JobStatus] = []
    queue.ended.connect(ends.append)
    queue.add(job)
    qtbot.waitUntil(lambda: bool(ends), timeout=TIMEOUT_MS)
    return ends[0]


def names(source: Path) -> set[str]:
    return {path.name for path in source.parent.iterdir()}


def test_cut_and_quantized_in_one_job(
    paths: Paths, source: Path, queue: JobQueue, qtbot: QtBot, tmp_path: Path
) -> None:
    job = quick(recipe_job(Recipe("quick", (CUT, QUANTIZE)), source, source.parent, paths), tmp_path)
    ended = run(queue, job, qtbot)
    assert ended.state is JobState.DONE, ended.failure
    assert [type(one) for one in ended.results] == [Pruned, type(None), Quantized, Quality]
    assert any("of memory" in sentence for sentence in ended.notices)
    assert names(source) == {"stdlib", "stdlib-ffn512"}
    entries = scan(paths, Settings())
    figures = figures_of(paths.ledger, [entry.path for entry in entries])
    family = next(one for one in families(entries, figures) if one.source.entry.path == source)
    row = next(row for row in family.variants if row.entry.path.suffix == ".gguf")
    assert row.recipe == "FFN 768 to 512, refitted; Q4_K_M"
    assert row.kl is not None
    assert row.kl > 0


@pytest.mark.wide
def test_cancelled_it_keeps_what_is_finished_out_of_sight(
    paths: Paths, source: Path, queue: JobQueue, qtbot: QtBot, tmp_path: Path
) -> None:
    job = quick(recipe_job(Recipe("quick", (CUT, RecoverStep(), QUANTIZE)), source, source.parent, paths), tmp_path)
    ends: list[JobStatus] = []
    queue.ended.connect(ends.append)

    def cancel(status: JobStatus) -> None:
        if status.step >= 1 and status.state is JobState.RUNNING:
            queue.cancel(status.id)

    queue.changed.connect(cancel)
    queue.add(job)
    qtbot.waitUntil(lambda: bool(ends), timeout=TIMEOUT_MS)
    assert ends[0].state is JobState.CANCELLED
    assert isinstance(ends[0].results[0], Pruned)  # it was far enough to have left something
    left = names(source) - {"stdlib"}
    assert left
    assert all(name.startswith(".") for name in left)


@pytest.mark.wide
def test_a_recipe_that_fails_says_why_and_what_is_whole_stays(
    paths: Paths, source: Path, queue: JobQueue, qtbot: QtBot, tmp_path: Path
) -> None:
    recipe = Recipe("quick", (CUT, RecoverStep(text="/nowhere/text.txt")))
    made = recipe_job(recipe, source, source.parent, paths)
    job = replace(quick(made, tmp_path), requests=(*quick(made, tmp_path).requests[:2], *made.requests[2:]))
    ended = run(queue, job, qtbot)
    assert ended.state is JobState.FAILED
    assert ended.failure is not None
    assert "text.txt" in ended.failure.sentence
    again = recipe_job(recipe, source, source.parent, paths)
    assert not any(isinstance(request, Prune) for request in again.requests)  # it goes on after the cut


@pytest.mark.wide
def test_the_whole_way_in_rounds(paths: Paths, source: Path, queue: JobQueue, qtbot: QtBot, tmp_path: Path) -> None:
    steps = (
        PruneStep(PruneMethod.FFN, 0.6, rounds=2, round_tokens=1000),
        RecoverStep(budget_tokens=4000, rank=4),
        QuantizeStep(("Q4_K_M", "Q8_0"), calibrate=False),
    )
    job = quick(recipe_job(Recipe("whole", steps), source, source.parent, paths), tmp_path)
    ended = run(queue, job, qtbot)
    assert ended.state is JobState.DONE, ended.failure
    assert sum(isinstance(one, Recovered) for one in ended.results) == 2
    assert sum(isinstance(one, Quality) for one in ended.results) == 2
    assert names(source) == {"stdlib", "stdlib-ffn256"}
