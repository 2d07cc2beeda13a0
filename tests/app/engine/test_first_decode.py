"""Which deaths are deaths in the first decode."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from app.engine.loading_marker import LoadingMarker, died_in_first_answer, died_in_warm_up
from app.engine.messages import MemoryNeed, ModelLoaded, ThreadCounts
from app.operation import Stage
from app.system.process_outcome import Ending, ProcessOutcome

SEGFAULT = ProcessOutcome(Ending.CRASHED, signal.SIGSEGV)
KILLED = ProcessOutcome(Ending.CRASHED, signal.SIGKILL)
MODEL = Path("model.gguf")


def loaded(safe_mode: bool) -> ModelLoaded:
    need, threads = MemoryNeed(1, 1, 1), ThreadCounts(1, 1)
    return ModelLoaded(MODEL, "x", "llama", "Q4_0", 1, 1, 1, True, need, threads, safe_mode, 1.0)


def test_a_fault_in_the_warm_up_of_that_child() -> None:
    assert died_in_warm_up(SEGFAULT, LoadingMarker(7, MODEL, Stage.WARM_UP, safe_mode=False), 7)


@pytest.mark.parametrize(
    ("outcome", "marker"),
    [
        (KILLED, LoadingMarker(7, MODEL, Stage.WARM_UP, safe_mode=False)),
        (ProcessOutcome(Ending.STOPPED, signal.SIGSEGV), LoadingMarker(7, MODEL, Stage.WARM_UP, safe_mode=False)),
        (SEGFAULT, LoadingMarker(8, MODEL, Stage.WARM_UP, safe_mode=False)),
        (SEGFAULT, LoadingMarker(7, MODEL, Stage.LOAD, safe_mode=False)),
        (SEGFAULT, LoadingMarker(7, MODEL, Stage.WARM_UP, safe_mode=True)),
        (SEGFAULT, None),
    ],
)
def test_other_deaths_in_a_load_are_none(outcome: ProcessOutcome, marker: LoadingMarker | None) -> None:
    assert not died_in_warm_up(outcome, marker, 7)


def test_a_fault_in_the_first_answer_with_the_fast_kernels() -> None:
    assert died_in_first_answer(SEGFAULT, loaded(safe_mode=False), has_answered=False)


@pytest.mark.parametrize(
    ("outcome", "model", "has_answered"),
    [
        (KILLED, loaded(False), False),
        (SEGFAULT, loaded(True), False),
        (SEGFAULT, loaded(False), True),
        (SEGFAULT, None, False),
    ],
)
def test_other_deaths_in_an_answer_are_none(outcome: ProcessOutcome, model: ModelLoaded, has_answered: bool) -> None:
    assert not died_in_first_answer(outcome, model, has_answered)
