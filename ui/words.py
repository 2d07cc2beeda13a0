"""Numbers and states in the user's words, one place for all pages. Bytes are GB with one decimal, times ms."""

from __future__ import annotations

from app.events import Stage
from app.stage_words import STAGE_WORDS as SHARED_STAGE_WORDS
from app.units import size_text
from workers.chat_engine import EngineState

STAGE_WORDS = SHARED_STAGE_WORDS | {
    Stage.MEASURE_THREADS: "Measuring threads",
    Stage.SAVE_CACHE: "Saving the conversation's memory",
    Stage.RESTORE_CACHE: "Restoring the conversation's memory",
    Stage.MEASURE_DRAFT: "Measuring what drafting costs",
    Stage.COMPARE_DRAFT: "Comparing with the draft",
    Stage.CHECK_DRAFT: "Checking the draft",
}

STATE_WORDS = {
    EngineState.EMPTY: "No model loaded",
    EngineState.LOADING: "Loading the model",
    EngineState.READY: "Ready",
    EngineState.GENERATING: "Answering",
    EngineState.STOPPING: "Stopping",
    EngineState.CRASHED: "The engine stopped",
}


def size(count: int) -> str:
    """Bytes as "7.6 GB"; below a tenth of a GB as "51 MB", so that a small model is not "0.0 GB"; then "20 bytes"."""
    if count == 0 or count >= 10**8:
        return f"{count / 1e9:.1f} GB"
    return f"{round(count / 1e6)} MB" if count >= 10**6 else size_text(count)


def milliseconds(ms: float) -> str:
    """A time as "86 ms" or, from ten seconds on, "12.4 s"; below ten with one decimal."""
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.1f} ms" if ms < 10 else f"{grouped(round(ms))} ms"


def grouped(number: int) -> str:
    """Thousands set apart with commas: 4,096."""
    return f"{number:,}"


def time_left(seconds: float) -> str:
    """ "45 s", "5 min", "2 h 10 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
