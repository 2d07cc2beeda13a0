"""What is done when the engine died, and what the user is told. No Qt."""

from __future__ import annotations

import dataclasses

from app.engine import machine_record
from app.engine.loading_marker import died_in_first_answer, died_in_warm_up, read_marker, safe_mode_notice
from app.engine.messages import LoadModel, ModelLoaded
from app.system.hardware import total_memory_bytes
from app.system.paths import Paths
from app.system.process_outcome import ProcessOutcome
from workers.engine.queue import Asked
from workers.protocol import Failure


@dataclasses.dataclass(frozen=True, slots=True)
class Rescue:
    """Load again in another way, and say why. The answer that died is asked once more where `again` says so."""

    load: LoadModel
    notice: str
    again: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Death:
    """How the child with this `pid` ended, while it was at `asked`, and what it had been told to load."""

    outcome: ProcessOutcome
    pid: int | None
    asked: Asked
    load: LoadModel
    model: ModelLoaded | None
    has_answered: bool


def rescue(death: Death, paths: Paths) -> Rescue | None:
    """The way out of a death that has one: without a draft that died while it was loaded, or in safe mode."""
    if death.asked.stopped:
        return None
    if not isinstance(death.asked.request, LoadModel):
        if death.asked.is_answer and died_in_first_answer(death.outcome, death.model, death.has_answered):
            # Its kernels had gone well in the warm-up: not for this machine to remember.
            safe = dataclasses.replace(death.load, safe_mode=True)
            return Rescue(safe, safe_mode_notice(death.outcome, remembered=False), again=True)
        return None
    marker = read_marker(paths.loading_marker)
    if marker is not None and marker.pid == death.pid and marker.path == death.load.draft:
        without = dataclasses.replace(death.load, draft=None)
        sentence = f"The draft model {marker.path.stem} made the engine crash. The model is loaded again without it."
        return Rescue(without, sentence)
    if died_in_warm_up(death.outcome, marker, death.pid):
        machine_record.remember_safe_mode(paths.machine, death.outcome.sentence)
        return Rescue(dataclasses.replace(death.load, safe_mode=True), safe_mode_notice(death.outcome))
    return None


def crash_failure(outcome: ProcessOutcome, model: ModelLoaded | None) -> Failure:
    """What happened and what to do; a large model that was killed is told as the likely cause."""
    hint = outcome.hint
    if outcome.is_kill and model is not None and model.need.total_bytes > total_memory_bytes() / 2:
        need, total = model.need.total_bytes / 1e9, total_memory_bytes() / 1e9
        hint = f"The model takes {need:.1f} GB of this computer's {total:.1f} GB. {hint}"
    return Failure(outcome.sentence, hint, outcome.details)
