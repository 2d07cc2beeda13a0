"""What to make of a child that died: whether safe mode can help, and what the user is told. No Qt."""

from __future__ import annotations

from app.engine.loading_marker import LoadingMarker
from app.events import ModelLoaded, Stage
from app.hardware import total_memory_bytes
from workers.outcome import ProcessOutcome
from workers.protocol import Failure


def died_in_warm_up(outcome: ProcessOutcome, marker: LoadingMarker | None, pid: int | None) -> bool:
    """Died of its machine code in the first decode after a load with the fast kernels.

    AMX kernels of some llama.cpp builds do that, and kernels built for another processor. `marker` counts only when
    the child with this `pid` wrote it.
    """
    if not outcome.is_native_fault or marker is None or marker.pid != pid:
        return False
    return marker.stage is Stage.WARM_UP and not marker.safe_mode


def died_in_first_answer(outcome: ProcessOutcome, model: ModelLoaded | None, has_answered: bool) -> bool:
    """The same death, only later: in the first prompt, before its first token."""
    return outcome.is_native_fault and not has_answered and model is not None and not model.safe_mode


def safe_mode_notice(outcome: ProcessOutcome) -> str:
    """The one line about the reload."""
    return (
        f"The fast kernels do not work on this processor ({outcome.signal_name}). "
        "The model is loaded again in safe mode, a little slower; this is remembered."
    )


def crash_failure(outcome: ProcessOutcome, model: ModelLoaded | None) -> Failure:
    """What happened and what to do; a large model that was killed is told as the likely cause."""
    hint = outcome.hint
    if outcome.is_kill and model is not None and model.need.total_bytes > total_memory_bytes() / 2:
        need, total = model.need.total_bytes / 1e9, total_memory_bytes() / 1e9
        hint = f"The model takes {need:.1f} GB of this computer's {total:.1f} GB. {hint}"
    return Failure(outcome.sentence, hint, outcome.details)
