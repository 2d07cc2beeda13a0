"""A death in the first decode: how it is recognised, and what the user is told about the way out of it."""

from __future__ import annotations

from app.engine.loading_marker import LoadingMarker
from app.engine.messages import ModelLoaded
from app.operation import Stage
from app.system.process_outcome import ProcessOutcome


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


def safe_mode_notice(outcome: ProcessOutcome, *, remembered: bool = True) -> str:
    """The one line about the reload: for good after a death in the warm-up, else until the model is next loaded."""
    if not remembered:
        return (
            f"The engine crashed before its first word ({outcome.signal_name}). "
            "The model is loaded again in safe mode, a little slower, until it is next loaded."
        )
    return (
        f"The fast kernels do not work on this processor ({outcome.signal_name}). "
        "The model is loaded again in safe mode, a little slower; this is remembered."
    )
