"""Making a model smaller, with sample offers: the two buttons, the dialog behind "More…", a job, its failure."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.engine.messages import MemoryNeed
from app.operation import Progress
from app.operation import Stage as Step
from app.quantize.messages import Offer, Offers, Quantize
from app.quantize.outputs import default_output
from tests.ui.scenes import GB, Stage
from tests.ui.scenes_ledger import FOLDER, fill, source
from ui.models.quantize_dialog import QuantizeDialog
from ui.navigation import Page
from workers.jobs import Job, JobState, JobStatus
from workers.protocol import Failure

_SIZES = {"Q2_K": 0.78, "Q3_K_M": 0.94, "Q4_0": 1.06, "Q4_K_M": 1.107, "Q5_K_M": 1.26, "Q6_K": 1.42, "Q8_0": 1.83}


def offers() -> Offers:
    """Of a 1.7B model: sizes, memory and speed as they would be on a laptop."""
    made = []
    for name, size in _SIZES.items():
        need = MemoryNeed(int(size * GB), int(0.47 * GB), int(0.31 * GB), int(0.1 * GB))
        made.append(Offer(name, int(size * GB), need, 79.0 * size))
    return Offers(FOLDER, tuple(made), int(3.45 * GB), 190.0)


def _quiet(stage: Stage) -> None:
    """The sample folder is not there: nobody is asked about it."""
    stage.program.hub.offers.ask = lambda *_: None
    stage.program.hub.speed.measure = lambda: None


def smaller(stage: Stage) -> None:
    _quiet(stage)
    fill(stage)
    stage.program.state.update(show_performance_panel=False)
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(FOLDER)
    stage.program.models_page.details.smaller.show_offers(offers())


def smaller_waiting(stage: Stage) -> None:
    _quiet(stage)
    fill(stage)
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(FOLDER)


def smaller_refused(stage: Stage) -> None:
    smaller(stage)
    sentence = "The model is a MambaForCausalLM, which cannot be converted here yet."
    stage.program.models_page.details.smaller.refuse(FOLDER, sentence)


def smaller_dialog(stage: Stage) -> QWidget:
    smaller(stage)
    dialog = QuantizeDialog(source(), stage.window)
    dialog.show_offers(offers())
    dialog.best.setChecked(True)
    dialog.show()
    return dialog


def _status(stage: Stage, state: JobState, failure: Failure | None = None) -> None:
    smaller(stage)
    output = default_output(FOLDER, "Q4_K_M", best=True)
    job = Job(f"Making {output.name}", (Quantize(FOLDER, output, "Q4_K_M", best=True),))
    stage.window.strip.show_job(JobStatus(7, job, state, Progress(Step.REROUND, 412, 1000, 1480.0), failure=failure))
    if failure is not None:
        stage.window.show_failure(failure)


def smaller_running(stage: Stage) -> None:
    _status(stage, JobState.RUNNING)


def smaller_failed(stage: Stage) -> None:
    _status(
        stage,
        JobState.FAILED,
        Failure(
            "It takes 4.6 GB on the disk, 3.5 GB of them only while it works, and 0.2 GB must stay free there; "
            "2.1 GB are free now.",
            "Free some space, or move Bantam's folder to a larger disk.",
        ),
    )


SMALLER_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    smaller, smaller_waiting, smaller_refused, smaller_dialog, smaller_running, smaller_failed,
)  # fmt: skip
