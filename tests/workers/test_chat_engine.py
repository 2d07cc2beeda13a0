"""The engine as the window sees it, over a child that really misbehaves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app import machine
from app.events import MemoryNeed, ModelLoaded, Stage, StopReason, TokenCount
from app.paths import Paths
from app.process_outcome import Ending, ProcessOutcome
from app.requests import Message, Role, ThreadCounts
from tests.workers.conftest import MISBEHAVING, Heard, ask, model
from workers import chat_engine, process
from workers.chat_engine import ChatEngine, EngineState
from workers.recovery import crash_failure


def opened(paths: Paths) -> list[str]:
    """Conversations the child was told to open, "nothing" where it only saved."""
    file = paths.home / "opened.txt"
    return file.read_text().split() if file.exists() else []


class TestLoading:
    def test_load_then_unload(self, heard: Heard, paths: Paths) -> None:
        assert heard.engine.state is EngineState.EMPTY
        heard.loaded()
        assert heard.names("state_changed", "model_loaded") == ["state_changed", "state_changed", "model_loaded"]
        assert heard.of("progress")[0].stage is Stage.LOAD
        assert heard.engine.model == heard.of("model_loaded")[0]
        child = psutil.Process(heard.engine.child_pid)
        heard.engine.unload()
        assert heard.engine.model is None
        heard.wait_for_state("empty")
        assert heard.states == ["loading", "ready", "stopping", "empty"]
        assert opened(paths) == ["nothing"]
        assert heard.engine.child_pid is None
        assert not child.is_running()

    def test_another_model_gets_another_child_once_the_first_has_saved_and_gone(
        self, heard: Heard, paths: Paths
    ) -> None:
        heard.loaded("one")
        first = psutil.Process(heard.engine.child_pid)
        heard.engine.load(model("two"))
        assert heard.engine.model is None
        heard.wait_for("model_loaded", 2)
        assert heard.engine.model.path.stem == "two"
        assert not first.is_running()
        assert opened(paths) == ["nothing"]
        assert heard.states == ["loading", "ready", "loading", "ready"]

    def test_the_last_of_several_loads_counts(self, heard: Heard) -> None:
        heard.engine.load(model("hang"))
        heard.wait_for("progress", 2)
        heard.engine.load(model("two"))
        heard.engine.load(model("three"))
        heard.wait_for_state("ready")
        assert [loaded.path.stem for loaded in heard.of("model_loaded")] == ["three"]
        assert heard.states == ["loading", "ready"]

    def test_too_large_is_a_question(self, heard: Heard) -> None:
        heard.engine.load(model("too large"))
        heard.wait_for("too_large")
        assert heard.engine.state is EngineState.EMPTY
        assert heard.of("failed") == []
        heard.engine.load(model("too large", load_anyway=True))
        heard.wait_for_state("ready")

    @pytest.mark.parametrize(("what", "sentence"), [("refuse", "It cannot be done."), ("raise", "a bug")])
    def test_a_load_that_fails_leaves_nothing(self, heard: Heard, what: str, sentence: str) -> None:
        heard.engine.load(model(what))
        heard.wait_for("failed")
        assert sentence in heard.of("failed")[0].sentence
        assert heard.engine.state is EngineState.EMPTY
        assert heard.engine.child_pid is None

    def test_a_program_that_cannot_be_started(self, make_engine: Callable[..., ChatEngine], qtbot: QtBot) -> None:
        heard = Heard(make_engine(("/no/such/program",)), qtbot)
        heard.engine.load(model("finish"))
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert "could not be started" in heard.of("failed")[0].sentence


class TestAnswering:
    def test_an_answer(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("finish"))
        assert heard.engine.state is EngineState.GENERATING
        heard.wait_for("answer_ended")
        assert heard.text == "Hello"
        said = heard.names("prompt_ready", "token", "answer_finished", "answer_ended")
        assert said == ["prompt_ready", "token", "token", "token", "answer_finished", "answer_ended"]
        assert heard.of("answer_finished")[0].stop_reason is StopReason.END
        assert heard.of("answer_ended") == [""]
        assert heard.states[-2:] == ["generating", "ready"]

    def test_asked_while_loading_it_is_answered_after(self, heard: Heard) -> None:
        heard.engine.load(model("finish"))
        heard.engine.generate(ask("finish"))
        assert heard.engine.state is EngineState.LOADING
        heard.wait_for("answer_ended")
        assert heard.of("answer_ended") == [""]
        assert heard.states == ["loading", "generating", "ready"]

    def test_without_a_model_it_ends_at_once_but_not_inside_the_call(self, heard: Heard) -> None:
        heard.engine.generate(ask("finish"))
        assert heard.of("answer_ended") == []
        heard.wait_for("answer_ended")
        assert heard.of("answer_ended") == ["No model is loaded."]

    def test_a_load_that_fails_ends_the_answer_that_waits_for_it(self, heard: Heard) -> None:
        heard.engine.load(model("refuse"))
        heard.engine.generate(ask("finish"))
        heard.wait_for("failed")
        assert heard.of("answer_ended") == ["It cannot be done."]

    def test_an_answer_that_fails_says_why_and_the_engine_stays_ready(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("refuse"))
        heard.wait_for("answer_ended")
        assert heard.of("answer_ended") == ["It cannot be done. Do something else."]
        assert heard.of("failed") == []
        assert heard.engine.state is EngineState.READY

    def test_a_bug_in_an_answer_can_be_reported(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("raise"))
        heard.wait_for("failed")
        assert "Traceback" in heard.of("failed")[0].details

    def test_what_belongs_to_no_request_is_passed_over(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("stray lines+hang"))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for("answer_ended")
        assert heard.text == "Hello"
        assert len(heard.of("answer_finished")) == 1

    def test_a_new_answer_stops_the_old_one_and_both_end_in_order(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("hang"))
        heard.wait_for("progress", 2)
        heard.engine.generate(ask("hang"))
        heard.engine.generate(ask("finish"))
        heard.wait_for("answer_ended", 3)
        assert heard.of("answer_ended") == ["", "", ""]
        assert [one.stop_reason for one in heard.of("answer_finished")] == [StopReason.STOPPED, StopReason.END]
        heard.wait_for_state("ready")

    def test_the_next_question_may_be_asked_from_the_end_of_the_last(self, heard: Heard) -> None:
        heard.loaded()
        heard.engine.answer_ended.connect(
            lambda _: heard.engine.generate(ask("finish")) if len(heard.of("answer_ended")) < 3 else None
        )
        heard.engine.generate(ask("finish"))
        heard.wait_for("answer_ended", 3)
        assert len(heard.of("answer_finished")) == 3


class TestStopping:
    def test_a_load(self, heard: Heard) -> None:
        heard.engine.load(model("hang"))
        heard.engine.generate(ask("finish"))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        assert heard.engine.state is EngineState.STOPPING
        heard.wait_for_state("empty")
        assert heard.of("answer_ended") == [""]
        assert heard.of("failed") == heard.of("notice") == []

    def test_an_answer(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("hang"))
        heard.wait_for("progress", 2)
        pid = heard.engine.child_pid
        heard.engine.stop()
        assert heard.engine.state is EngineState.STOPPING
        heard.wait_for("answer_ended")
        assert heard.of("answer_finished")[0].stop_reason is StopReason.STOPPED
        assert heard.of("answer_ended") == [""]
        assert heard.engine.state is EngineState.READY
        assert heard.engine.child_pid == pid

    @pytest.mark.parametrize("what", ["ignore stop", "close stdout"])
    def test_a_child_that_does_not_react_is_ended_and_that_is_said(
        self, heard: Heard, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        monkeypatch.setattr(chat_engine, "STOP_GRACE_MS", 50)
        heard.loaded().engine.generate(ask(what))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for("notice")
        assert heard.engine.state is EngineState.EMPTY
        assert heard.text == "Hello"
        assert heard.of("answer_ended") == [""]
        assert "did not stop" in heard.of("notice")[0]
        assert heard.of("failed") == []

    def test_a_load_that_does_not_react(self, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chat_engine, "STOP_GRACE_MS", 50)
        heard.engine.load(model("ignore stop"))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for("notice")
        assert heard.engine.state is EngineState.EMPTY

    def test_a_change_of_models(self, heard: Heard) -> None:
        heard.loaded("one").engine.load(model("two"))
        heard.engine.stop()
        heard.wait_for_state("empty")
        assert [loaded.path.stem for loaded in heard.of("model_loaded")] == ["one"]

    def test_stop_with_nothing_to_stop(self, heard: Heard) -> None:
        heard.engine.stop()
        heard.loaded().engine.stop()
        assert heard.engine.state is EngineState.READY

    def test_a_load_stops_the_answer_first(self, heard: Heard, paths: Paths) -> None:
        heard.loaded().engine.generate(ask("hang"))
        heard.wait_for("progress", 2)
        heard.engine.load(model("two"))
        assert heard.engine.state is EngineState.STOPPING
        heard.wait_for("model_loaded", 2)
        assert heard.names("answer_finished", "answer_ended", "model_loaded")[1:] == [
            "answer_finished",
            "answer_ended",
            "model_loaded",
        ]
        assert opened(paths) == ["nothing"]

    def test_unload_stops_the_answer_first(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("hang"))
        heard.wait_for("progress", 2)
        heard.engine.unload()
        heard.wait_for_state("empty")
        assert heard.of("answer_ended") == [""]


class TestConversationsAndCounts:
    def test_open_saves_and_restores(self, heard: Heard, paths: Paths) -> None:
        heard.loaded().engine.open_conversation("one")
        heard.wait_for("conversation_opened")
        assert heard.of("conversation_opened")[0].restored_tokens == 12
        assert heard.engine.state is EngineState.READY

    def test_of_conversations_clicked_through_only_the_last_is_opened(self, heard: Heard, paths: Paths) -> None:
        heard.engine.load(model("finish"))
        for name in ("one", "two", "three"):
            heard.engine.open_conversation(name)
        heard.wait_for("conversation_opened")
        assert opened(paths) == ["three"]

    def test_only_the_latest_count_is_answered(self, heard: Heard) -> None:
        heard.engine.load(model("finish"))
        for count in range(1, 6):
            heard.engine.count_tokens((Message(Role.USER, "text"),) * count)
        heard.wait_for("token_count")
        heard.engine.generate(ask("finish"))
        heard.wait_for("answer_ended")
        assert heard.of("token_count") == [TokenCount(5, 4096)]

    def test_a_count_that_is_out_of_date_when_it_comes_is_not_told(self, heard: Heard) -> None:
        heard.loaded()
        heard.engine.count_tokens((Message(Role.USER, "text"),))  # is with the child at once
        heard.engine.count_tokens(())
        heard.wait_for("token_count")
        assert heard.of("token_count") == [TokenCount(0, 4096)]

    def test_a_count_waits_until_the_answer_is_over(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("finish"))
        heard.engine.count_tokens(())
        heard.wait_for("token_count")
        assert heard.names("answer_ended", "token_count") == ["answer_ended", "token_count"]

    def test_without_a_model_nothing_is_opened_or_counted(self, heard: Heard) -> None:
        heard.engine.open_conversation("one")
        heard.engine.count_tokens(())
        heard.loaded().engine.generate(ask("finish"))
        heard.wait_for("answer_ended")
        assert heard.of("token_count") == heard.of("conversation_opened") == []


class TestMeasuring:
    def test_measure(self, heard: Heard) -> None:
        heard.loaded().engine.measure_threads()
        assert heard.engine.state is EngineState.LOADING
        heard.wait_for("threads_measured")
        assert heard.of("threads_measured") == [ThreadCounts(2, 2)]
        assert heard.engine.state is EngineState.READY

    def test_it_can_be_stopped_and_the_model_stays(self, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLOW", "1")
        heard.loaded().engine.measure_threads()
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for_state("ready")
        assert heard.engine.model is not None

    def test_without_a_model(self, heard: Heard) -> None:
        heard.engine.measure_threads()
        assert heard.of("failed")[0].sentence == "No model is loaded."


class TestDying:
    @pytest.mark.parametrize(
        ("what", "word"),
        [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("exit 3", "exit code 3"), ("hang", "SIGKILL")],
    )
    def test_in_an_answer_the_text_so_far_is_kept(self, heard: Heard, what: str, word: str) -> None:
        heard.loaded().engine.generate(ask(what))
        heard.wait_for("token", 2)
        if what == "hang":
            os.kill(heard.engine.child_pid, signal.SIGKILL)
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert heard.engine.model is None
        assert heard.text == "Hello"
        assert word in heard.of("answer_ended")[0]
        assert heard.of("failed")[0].hint
        assert heard.names("answer_ended", "failed") == ["answer_ended", "failed"]
        assert heard.of("notice") == []

    def test_in_a_load(self, heard: Heard, paths: Paths) -> None:
        heard.engine.load(model("segfault"))
        heard.engine.generate(ask("finish"))
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert "SIGSEGV" in heard.of("answer_ended")[0]
        assert not machine.needs_safe_mode(paths.machine)

    def test_while_nothing_is_asked(self, heard: Heard) -> None:
        heard.loaded()
        os.kill(heard.engine.child_pid, signal.SIGKILL)
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert heard.of("answer_ended") == []

    def test_after_it_a_model_can_be_loaded_again(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("segfault"))
        heard.wait_for("failed")
        heard.loaded().engine.generate(ask("finish"))
        heard.wait_for("answer_ended", 2)
        assert heard.of("answer_ended")[1] == ""

    def test_after_it_unload_means_empty(self, heard: Heard) -> None:
        heard.engine.load(model("abort"))
        heard.wait_for("failed")
        heard.engine.unload()
        assert heard.engine.state is EngineState.EMPTY

    def test_a_death_while_it_is_told_to_end_is_no_failure(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("hang"))
        heard.wait_for("progress", 2)
        heard.engine.close(0)
        assert heard.engine.state is EngineState.EMPTY
        assert heard.of("failed") == []

    def test_a_large_model_that_was_killed_is_named_as_the_cause(self) -> None:
        need, threads = MemoryNeed(10**15, 0, 0), ThreadCounts(1, 1)
        large = ModelLoaded(model("x").path, "x", "llama", "Q8_0", 1, 1, 1, True, need, threads, False, 1.0)
        killed = ProcessOutcome(Ending.CRASHED, signal.SIGKILL)
        assert "1000000.0 GB" in crash_failure(killed, large).hint
        assert "GB" not in crash_failure(killed, None).hint


class TestSafeMode:
    @pytest.mark.parametrize("what", ["segfault", "illegal instruction"])
    def test_a_death_in_the_warm_up_leads_to_one_reload_that_is_remembered(
        self, heard: Heard, paths: Paths, what: str
    ) -> None:
        heard.engine.load(model(f"unless safe+in warm up+{what}"))
        heard.engine.generate(ask("finish"))
        heard.wait_for("answer_ended")
        assert heard.engine.model.safe_mode
        assert heard.of("answer_ended") == [""]
        assert len(heard.of("notice")) == 1
        assert heard.of("failed") == []
        assert heard.states == ["loading", "generating", "ready"]
        assert machine.needs_safe_mode(paths.machine)

    def test_a_death_in_safe_mode_is_final(self, heard: Heard) -> None:
        heard.engine.load(model("in warm up+segfault"))
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert len(heard.of("notice")) == 1

    @pytest.mark.parametrize("what", ["unless safe+segfault", "unless safe+in warm up+abort", "in warm up+exit 3"])
    def test_other_deaths_do_not_lead_there(self, heard: Heard, paths: Paths, what: str) -> None:
        heard.engine.load(model(what))
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert not machine.needs_safe_mode(paths.machine)

    def test_a_death_of_a_load_that_was_stopped_does_not(self, heard: Heard, paths: Paths) -> None:
        heard.engine.load(model("in warm up+crash when stopped"))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert not machine.needs_safe_mode(paths.machine)

    def test_a_death_in_the_first_prompt_counts_too_and_the_question_goes_on(self, heard: Heard, paths: Paths) -> None:
        heard.loaded().engine.generate(ask("before the first token+segfault"))
        heard.wait_for("failed")  # in safe mode it dies again, and now that is final
        assert machine.needs_safe_mode(paths.machine)
        assert [loaded.safe_mode for loaded in heard.of("model_loaded")] == [False, True]
        assert len(heard.of("notice")) == len(heard.of("answer_ended")) == 1

    def test_a_death_in_a_later_prompt_does_not_count(self, heard: Heard, paths: Paths) -> None:
        heard.loaded().engine.generate(ask("finish"))
        heard.engine.answer_ended.connect(lambda _: None)
        heard.wait_for("answer_ended")
        heard.engine.generate(ask("before the first token+segfault"))
        heard.wait_for("failed")
        assert not machine.needs_safe_mode(paths.machine)


class TestClosing:
    def test_the_open_conversation_is_saved_and_the_child_gone_on_return(self, heard: Heard, paths: Paths) -> None:
        child = psutil.Process(heard.loaded().engine.child_pid)
        heard.engine.close()
        assert not child.is_running()
        assert opened(paths) == ["nothing"]

    def test_a_child_that_does_not_react_is_killed(self, heard: Heard) -> None:
        heard.loaded().engine.generate(ask("ignore stop"))
        heard.wait_for("progress", 2)
        child = psutil.Process(heard.engine.child_pid)
        heard.engine.close(20)
        assert not child.is_running()

    def test_with_nothing_loaded(self, heard: Heard) -> None:
        heard.engine.close()
        assert heard.states == []


PARENT = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.paths import default_paths
from app.requests import LoadModel
from workers.chat_engine import ChatEngine
application = QCoreApplication([])
engine = ChatEngine(default_paths(), sys.argv[1:])
engine.progress.connect(lambda _: print(engine.child_pid, flush=True))
engine.load(LoadModel(Path("ignore stop")))
application.exec()
"""


def test_the_child_of_a_window_that_was_killed_ends(paths: Paths) -> None:
    window = psutil.Popen([sys.executable, "-c", PARENT, *MISBEHAVING], stdout=-1)
    try:
        child = psutil.Process(int(window.stdout.readline()))
    finally:
        window.kill()
    with window.stdout:
        window.wait()
    # It may stay a zombie where nothing reaps the orphans of this machine.
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_bounds_are_what_the_user_was_promised() -> None:
    assert chat_engine.STOP_GRACE_MS == process.END_GRACE_MS == 2000
