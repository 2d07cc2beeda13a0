"""Numbers and states in the user's words, one place for all pages. Bytes are GB with one decimal, times ms."""

from __future__ import annotations

from app.hub.messages import DownloadPhase, DownloadProgress
from app.operation import Progress
from app.operation_words import STAGE_WORDS
from app.recover.messages import OVERNIGHT_TOKENS, SHORT_TOKENS
from app.units import grouped, percent, size_text
from workers.engine.client import EngineState
from workers.jobs import JobStatus

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


def time_left(seconds: float) -> str:
    """ "45 s", "5 min", "2 h 10 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


BUDGET_WORDS = {
    SHORT_TOKENS: f"Short: {grouped(SHORT_TOKENS)} tokens",
    OVERNIGHT_TOKENS: f"Overnight: {grouped(OVERNIGHT_TOKENS)} tokens",
}


KEPT = "What is finished is kept: run it again, and it goes on from there."


def job_share(progress: Progress | DownloadProgress | None) -> float:
    """0 to 1, of the step that runs."""
    if isinstance(progress, DownloadProgress):
        return progress.done_bytes / progress.total_bytes if progress.total_bytes else 0.0
    return progress.done / progress.total if progress and progress.total else 0.0


def job_words(status: JobStatus, share: float) -> str:
    """ "Quantizing, 41 %, 3 min left", and before it which step of how many."""
    progress, (step, steps) = status.progress, status.stage
    which = f"Step {step} of {steps}: " if steps > 1 else ""
    if isinstance(progress, DownloadProgress):
        return which + progress_words(progress)
    if progress is None:
        return f"{which}Starting…"
    left = f", {time_left(progress.seconds_left)} left" if progress.seconds_left >= 1 else ""
    stage = STAGE_WORDS.get(progress.stage, "")
    return f"{which}{stage}{', ' if stage else ''}{percent(share)}{left}"


def progress_words(progress: DownloadProgress | None) -> str:
    """What a running download is doing."""
    if progress is None or progress.phase is DownloadPhase.CONNECTING:
        return "Connecting…"
    if progress.phase is DownloadPhase.WAITING:
        return progress.sentence
    if progress.phase is DownloadPhase.CHECKING:
        return "Checking what is here already…"
    words = f"{size(progress.done_bytes)} of {size(progress.total_bytes)}"
    if not progress.bytes_per_second:
        return f"{words} · waiting for the hub"
    return f"{words} · {size(int(progress.bytes_per_second))}/s · {time_left(progress.seconds_left)} left"


def _done(progress: DownloadProgress | None) -> str:
    return f" at {size(progress.done_bytes)} of {size(progress.total_bytes)}" if progress else ""


_LEAST_SHOWN = 0.00005


def kl_words(value: float | None) -> str:
    """ "0.0123": four decimals, so that a column of them is aligned at the point."""
    if value is None:
        return ""
    return f"{value:.4f}" if value >= _LEAST_SHOWN or value <= 0 else "<0.0001"


def share_words(value: float | None) -> str:
    """ "97.1 %"."""
    return "" if value is None else percent(value, 1)
