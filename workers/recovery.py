"""What the user is told when the engine died. No Qt."""

from __future__ import annotations

from app.events import ModelLoaded
from app.hardware import total_memory_bytes
from app.process_outcome import ProcessOutcome
from workers.protocol import Failure


def crash_failure(outcome: ProcessOutcome, model: ModelLoaded | None) -> Failure:
    """What happened and what to do; a large model that was killed is told as the likely cause."""
    hint = outcome.hint
    if outcome.is_kill and model is not None and model.need.total_bytes > total_memory_bytes() / 2:
        need, total = model.need.total_bytes / 1e9, total_memory_bytes() / 1e9
        hint = f"The model takes {need:.1f} GB of this computer's {total:.1f} GB. {hint}"
    return Failure(outcome.sentence, hint, outcome.details)
