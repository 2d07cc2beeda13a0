""" "Measure what it cost": the job that is queued, against what, and what comes of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.engine.messages import MeasureMachine
from app.measure.messages import Estimate, MeasureQuality, Quality
from app.system.paths import Paths
from tests.ui.fake_engine import FakeEngine
from tests.ui.fake_jobs import AddedJobs
from tests.ui.scenes_ledger import FOLDER, figures, source, variants
from ui.look.theme import ThemeWatcher
from ui.program import Program
from workers.jobs import JobState

ROOT = Path(__file__).parents[3]
Q8 = variants()[1]


@pytest.fixture
def program(qtbot: QtBot, engine: FakeEngine, theme: ThemeWatcher, paths: Paths, monkeypatch) -> Iterator[Program]:
    program = Program(paths, theme, engine)
    qtbot.addWidget(program.window)
    program.library.refresh = lambda: None  # the sample entries stay
    program.library.read_figures = lambda: None
    # A row that can be quantized asks for the computer's speed too.
    program.added = AddedJobs(program.hub.jobs, monkeypatch, but=(MeasureMachine,))
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


def test_a_variant_is_measured_against_its_16_bit_file(program: Program) -> None:
    program.models.set_entries((source(), *variants()))
    program.models_page.select(Q8.path)
    program.models_page.details.measure.click()
    assert [job.requests for job in program.added] == [(MeasureQuality(Q8.path, variants()[0].path, speed=True),)]
    assert program.added[0].parts == ()


def test_a_folder_is_the_reference_and_its_copy_goes_with_the_job(program: Program, paths: Paths) -> None:
    program.models.set_entries((source(), Q8))
    program.models_page.select(Q8.path)
    assert "converted to a file" in program.models_page.details.measure_words.text()
    program.models_page.details.measure.click()
    (job,) = program.added
    assert job.requests == (MeasureQuality(Q8.path, FOLDER, speed=True),)
    assert job.parts[0] == paths.reference_copy(FOLDER)


def test_without_the_source_that_is_said_and_speed_is_measured(program: Program) -> None:
    program.models.set_entries((Q8,))
    program.models_page.select(Q8.path)
    assert "its source is not here" in program.models_page.details.measure_words.text()
    program.models_page.details.measure.click()
    assert program.added[0].requests == (MeasureQuality(Q8.path, None, speed=True),)


def test_what_came_of_it_is_told(program: Program) -> None:
    program.models.set_entries((source(), Q8))
    program.models_page.measure_requested.emit(Q8)
    quality = Quality(
        Q8.path, FOLDER, "bundled 1", 512, 4080, Estimate(14.2, 0.3), Estimate(14.1, 0.3),
        Estimate(0.0014, 0.0001), 0.02, Estimate(0.984, 0.003),
    )  # fmt: skip
    program.added.tell(JobState.CANCELLED)
    assert program.window.notice.sentence == ""
    program.added.tell(JobState.DONE, result=quality)
    assert "KL 0.0014 to Qwen3-1.7B" in program.window.notice.sentence
    assert "Chat" in program.window.notice.buttons()


def test_details_show_what_was_measured(program: Program) -> None:
    program.models.set_entries((source(), *variants()))
    program.models_page.select(variants()[2].path)
    details = program.models_page.details
    assert details.conditions.isHidden()
    program.models.set_figures(figures())
    assert "4,080 tokens of the bundled text" in details.conditions.text()
    assert "0.0467 ± 0.0023" in [label.text() for label in details.findChildren(QLabel) if not label.isHidden()]
    assert details.sha256.text().startswith("sha256 9f86d081")


MODELS_PAGE_ONLY = """
import sys
import ui.app, ui.program
from PySide6.QtWidgets import QApplication
def begin(program):
    program.window.show_page(ui.program.Page.MODELS)
    print(sorted({"numpy", "pyqtgraph"} & set(sys.modules)))
    program.window.show_page(ui.program.Page.WORKSHOP)
    program.workshop_page.show_view(1)
    QApplication.processEvents()
    print(sorted({"numpy", "pyqtgraph"} & set(sys.modules)))
    program.workshop_page.compare.plot.plot
    print(sorted({"numpy", "pyqtgraph", "llama_cpp", "torch"} & set(sys.modules)))
    program.window.close()
ui.program.Program._begin = begin
sys.exit(ui.app.main())
"""


def test_only_a_plot_loads_the_plot_library(bantam_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MODELS_PAGE_ONLY], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.splitlines() == ["[]", "[]", "['numpy', 'pyqtgraph']"], done.stderr
