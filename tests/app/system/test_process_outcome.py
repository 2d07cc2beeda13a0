"""The sentences about a child's end."""

from __future__ import annotations

import signal

import pytest

from app.system import process_outcome
from app.system.process_outcome import Ending, ProcessOutcome


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (ProcessOutcome(Ending.STOPPED, 9), "The engine was stopped."),
        (ProcessOutcome(Ending.EXITED, 0), "The engine ended by itself, though nobody asked it to."),
        (ProcessOutcome(Ending.EXITED, 3), "The engine ended by itself with exit code 3."),
        (
            ProcessOutcome(Ending.CRASHED, signal.SIGSEGV),
            "The engine crashed (SIGSEGV: it touched memory that is not its own).",
        ),
        (
            ProcessOutcome(Ending.CRASHED, signal.SIGKILL),
            "The engine was killed (SIGKILL): the system ran out of memory, or somebody ended it.",
        ),
        (ProcessOutcome(Ending.CRASHED, 99), "The engine crashed (signal 99: the system ended it)."),
        (
            ProcessOutcome(Ending.NOT_STARTED, system_error="No such file or directory"),
            "The engine could not be started: No such file or directory.",
        ),
    ],
)
def test_sentence(ended: ProcessOutcome, sentence: str) -> None:
    assert ended.sentence == sentence


def test_every_end_but_ours_says_what_to_do() -> None:
    numbers = [*signal.Signals, 99]
    ends = [ProcessOutcome(Ending.CRASHED, number) for number in numbers]
    ends += [ProcessOutcome(Ending.EXITED, 1), ProcessOutcome(Ending.NOT_STARTED)]
    assert all(end.hint for end in ends)
    assert ProcessOutcome(Ending.STOPPED).hint == ""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE])
def test_faults_of_machine_code(number: int) -> None:
    assert ProcessOutcome(Ending.CRASHED, number).is_native_fault
    assert not ProcessOutcome(Ending.STOPPED, number).is_native_fault
    assert not ProcessOutcome(Ending.EXITED, number).is_native_fault


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM])
def test_other_deaths_are_none(number: int) -> None:
    assert not ProcessOutcome(Ending.CRASHED, number).is_native_fault


def test_windows_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_outcome.sys, "platform", "win32")
    violation = ProcessOutcome(Ending.CRASHED, 0xC0000005 - (1 << 32))  # QProcess gives it as a signed number
    assert violation.sentence == "The engine crashed (access violation: it touched memory that is not its own)."
    assert violation.is_native_fault
    assert ProcessOutcome(Ending.CRASHED, 0xC000001D).signal_name == "illegal instruction"
    assert ProcessOutcome(Ending.CRASHED, 0xC0001234).sentence == "The engine crashed (0xC0001234: Windows ended it)."


def test_of_a_job_it_speaks_of_the_job() -> None:
    for number in signal.Signals:
        ended = ProcessOutcome(Ending.CRASHED, number)
        assert ended.job_sentence("Making m.gguf").startswith("The job “Making m.gguf” ")
        assert ended.job_hint
        assert "model again" not in ended.job_hint, "there is none to load again"
    killed = ProcessOutcome(Ending.CRASHED, signal.SIGKILL)
    assert "then start it again" in killed.job_hint
