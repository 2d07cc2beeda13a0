"""The real engine in its child with the starter model: stopped, killed and crashed in load, prefill and decode."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.engine import machine_record
from app.engine.messages import Bench, Generate, LoadModel, Message, Role, Sampling, StopReason, ThreadCounts
from app.operation import Stage
from app.system.paths import STARTER_MODEL, Paths
from tests.workers.conftest import Heard
from workers.engine.client import ChatEngine, EngineState
from workers.jobs import Job, JobQueue

SLOW = (sys.executable, str(Path(__file__).parents[1] / "slow_child.py"))
DYING = (sys.executable, str(Path(__file__).parents[1] / "dying_child.py"))

ONE_THREAD = ThreadCounts(1, 1)
LOAD = LoadModel(STARTER_MODEL, context_tokens=2048, threads=ONE_THREAD)
SHORT = Sampling(temperature=0, max_tokens=8)
ENDLESS = Sampling(ignore_end=True, seed=1)


def ask(text: str, sampling: Sampling = SHORT, conversation: str = "one") -> Generate:
    return Generate(conversation, (Message(Role.USER, text),), sampling)


LONG_PROMPT = ask("import os, sys, json, re; print(os.getcwd()) " * 90, ENDLESS)
LONG_ANSWER = ask("How do I open a file?", ENDLESS)


@pytest.fixture
def start(make_engine: Callable[..., ChatEngine], qtbot: QtBot) -> Callable[..., Heard]:
    """An engine over the real child, or a variation of it."""

    def start(command: tuple[str, ...] | None = None) -> Heard:
        return Heard(make_engine(command), qtbot)

    return start


@pytest.fixture
def ready(start: Callable[..., Heard]) -> Heard:
    heard = start()
    heard.engine.load(LOAD)
    heard.wait_for_state("ready")
    return heard


def reach(phase: str, heard: Heard) -> Heard:
    """Bring the engine into the load, the prefill or the decode."""
    if phase == "load":
        heard.engine.load(LOAD)
        heard.wait_for("progress")
        assert heard.of("progress")[0].stage is Stage.LOAD
        return heard
    if heard.engine.state is not EngineState.READY:
        heard.engine.load(LOAD)
    heard.engine.generate(LONG_PROMPT if phase == "prefill" else LONG_ANSWER)
    if phase == "prefill":
        heard.wait(lambda: any(one.stage is Stage.PREFILL for one in heard.of("progress")))
        assert heard.of("token") == []
    else:
        heard.wait_for("token", 5)
    return heard


def command(phase: str) -> tuple[str, ...] | None:
    return SLOW if phase == "load" else None


def test_load_answer_unload(ready: Heard) -> None:
    child = psutil.Process(ready.engine.child_pid)
    ready.engine.generate(ask("How do I open a file?"))
    ready.wait_for("answer_ended")
    assert ready.of("answer_ended") == [""]
    assert ready.text
    statistics = ready.of("answer_finished")[0]
    assert statistics.new_tokens <= 8
    ready.engine.unload()
    ready.wait_for_state("empty")
    assert not child.is_running()


def test_a_count_between_answers(ready: Heard) -> None:
    ready.engine.count_tokens((Message(Role.USER, "How do I open a file?"),))
    ready.wait_for("token_count")
    ready.engine.generate(ask("How do I open a file?"))
    ready.wait_for("answer_ended")
    assert ready.of("token_count")[0].tokens == ready.of("prompt_ready")[0].prompt_tokens


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_stop_in_an_answer_keeps_the_model(start: Callable[..., Heard], phase: str) -> None:
    heard = reach(phase, start())
    heard.engine.stop()
    heard.wait_for("answer_ended")
    assert heard.of("answer_ended") == [""]
    assert heard.of("answer_finished")[0].stop_reason is StopReason.STOPPED
    assert heard.engine.state is EngineState.READY
    heard.engine.generate(ask("How do I open a file?"))
    heard.wait_for("answer_ended", 2)
    assert heard.of("answer_finished")[1].new_tokens > 0
    assert heard.of("notice") == []


def test_stop_in_a_load(start: Callable[..., Heard], paths: Paths) -> None:
    heard = reach("load", start(SLOW))
    heard.engine.stop()
    heard.wait_for_state("empty")
    assert heard.of("notice") == heard.of("failed") == []  # llama.cpp gave up by itself: nothing was killed
    assert not paths.loading_marker.exists()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
@pytest.mark.parametrize("phase", ["load", "prefill", "decode"])
def test_a_death_is_told_and_survived(start: Callable[..., Heard], paths: Paths, phase: str, name: str) -> None:
    heard = start(command(phase))
    if phase != "load":  # an answer that went well, so that the next is not the first
        heard.engine.load(LOAD)
        heard.engine.generate(ask("How do I open a file?"))
        heard.wait_for("answer_ended")
        heard.all.clear()
    reach(phase, heard)
    text = heard.text
    os.kill(heard.engine.child_pid, signal.Signals[name])
    heard.wait_for("failed")
    assert heard.engine.state is EngineState.CRASHED
    assert name in heard.of("failed")[0].sentence
    assert heard.of("failed")[0].hint
    assert [name in problem for problem in heard.of("answer_ended")] == ([] if phase == "load" else [True])
    assert heard.text.startswith(text)
    assert not machine_record.needs_safe_mode(paths.machine)
    assert heard.engine.child_pid is None


def test_after_a_death_the_model_answers_again(ready: Heard) -> None:
    os.kill(ready.engine.child_pid, signal.SIGKILL)
    ready.wait_for("failed")
    ready.engine.load(LOAD)
    ready.engine.generate(ask("How do I open a file?"))
    ready.wait_for("answer_ended")
    assert ready.of("answer_ended") == [""]


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGILL"])
def test_a_death_in_the_first_decode_leads_to_safe_mode(
    start: Callable[..., Heard], paths: Paths, tmp_path: Path, name: str
) -> None:
    heard = start((*DYING, "warm up", name, str(tmp_path / "died")))
    heard.engine.load(LOAD)
    heard.engine.generate(ask("How do I open a file?"))
    heard.wait_for("answer_ended")
    assert heard.of("answer_ended") == [""]
    assert heard.text
    assert heard.engine.model.safe_mode
    assert name in heard.of("notice")[0]
    assert len(heard.of("notice")) == 1
    assert heard.of("failed") == []
    assert machine_record.needs_safe_mode(paths.machine)

    later = start()
    later.engine.load(LOAD)
    later.wait_for_state("ready")
    assert later.engine.model.safe_mode
    assert later.of("notice") == []


def test_a_death_while_the_weights_are_read_does_not(start: Callable[..., Heard], paths: Paths, tmp_path: Path) -> None:
    heard = start((*DYING, "load", "SIGSEGV", str(tmp_path / "died")))
    heard.engine.load(LOAD)
    heard.engine.generate(ask("How do I open a file?"))
    heard.wait_for("failed")
    assert heard.engine.state is EngineState.CRASHED
    assert "SIGSEGV" in heard.of("answer_ended")[0]
    assert heard.of("notice") == []
    assert not machine_record.needs_safe_mode(paths.machine)


def test_a_conversation_goes_on_after_the_program_was_closed(start: Callable[..., Heard]) -> None:
    first = start()
    first.engine.load(LOAD)
    first.engine.generate(ask("How do I open a file?", conversation="kept"))
    first.wait_for("answer_ended")
    first.engine.close()
    second = start()
    second.engine.load(LOAD)
    second.engine.open_conversation("kept")
    second.wait_for("conversation_opened")
    assert second.of("conversation_opened")[0].restored_tokens >= first.of("prompt_ready")[0].prompt_tokens


@pytest.mark.parametrize("content", [b"just text", b"GGUF" + b"\xff" * 40])
def test_a_file_that_is_no_model(start: Callable[..., Heard], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    heard = start()
    heard.engine.load(LoadModel(tmp_path / "bad.gguf"))
    heard.wait_for("failed")
    assert heard.engine.state is EngineState.EMPTY
    assert heard.of("failed")[0].details == ""


WINDOW = """
import sys
from PySide6.QtCore import QCoreApplication
from app.system.paths import default_paths
from tests.workers.engine.test_engine_child import LOAD, LONG_ANSWER
from workers.engine.client import ChatEngine
application = QCoreApplication([])
engine = ChatEngine(default_paths())
engine.token.connect(lambda _: print(engine.child_pid, flush=True))
engine.load(LOAD)
engine.generate(LONG_ANSWER)
application.exec()
"""


def test_the_window_is_killed_in_the_middle_of_an_answer(paths: Paths) -> None:
    window = psutil.Popen([sys.executable, "-c", WINDOW], stdout=-1, cwd=Path(__file__).parents[3])
    try:
        child = psutil.Process(int(window.stdout.readline()))
    finally:
        window.kill()
        window.stdout.close()
        window.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_bench_is_a_job(paths: Paths, qtbot: QtBot) -> None:
    queue = JobQueue(paths)
    with qtbot.waitSignal(queue.ended, timeout=20_000) as ended:
        queue.add(Job("Measure", (Bench(LOAD, prompt_tokens=32, new_tokens=4, repetitions=1),)))
    status = ended.args[0]
    assert status.failure is None
    assert status.result.new_tokens == 4
    assert status.result.peak_resident_bytes > status.result.need.weights_bytes
    assert status.progress is not None
    queue.close()
