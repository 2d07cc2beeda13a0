"""What the window hears when the child dies, is loaded in the safe way, or is to end."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.engine import machine_record
from app.engine.messages import MemoryNeed, ModelLoaded, ThreadCounts
from app.system.paths import Paths
from app.system.process_outcome import Ending, ProcessOutcome
from tests.workers.conftest import MISBEHAVING, Heard, ask, model, opened
from workers import process
from workers.engine import client
from workers.engine.client import EngineState, crash_failure


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
        assert not machine_record.needs_safe_mode(paths.machine)

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
        assert machine_record.needs_safe_mode(paths.machine)

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
        assert not machine_record.needs_safe_mode(paths.machine)

    def test_a_death_of_a_load_that_was_stopped_does_not(self, heard: Heard, paths: Paths) -> None:
        heard.engine.load(model("in warm up+crash when stopped"))
        heard.wait_for("progress", 2)
        heard.engine.stop()
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED
        assert not machine_record.needs_safe_mode(paths.machine)

    def test_a_death_in_the_first_prompt_counts_for_this_load_and_the_question_goes_on(
        self, heard: Heard, paths: Paths
    ) -> None:
        heard.loaded().engine.generate(ask("before the first token+segfault"))
        heard.wait_for("failed")  # in safe mode it dies again, and now that is final
        assert not machine_record.needs_safe_mode(paths.machine)
        assert [loaded.safe_mode for loaded in heard.of("model_loaded")] == [False, True]
        assert len(heard.of("notice")) == len(heard.of("answer_ended")) == 1

    def test_a_death_in_a_later_prompt_does_not_count(self, heard: Heard, paths: Paths) -> None:
        heard.loaded().engine.generate(ask("finish"))
        heard.engine.answer_ended.connect(lambda _: None)
        heard.wait_for("answer_ended")
        heard.engine.generate(ask("before the first token+segfault"))
        heard.wait_for("failed")
        assert not machine_record.needs_safe_mode(paths.machine)


class TestDrafts:
    def test_a_draft_that_dies_while_it_is_loaded_is_left_out(self, heard: Heard, paths: Paths) -> None:
        heard.engine.load(dataclasses.replace(model("finish"), draft=Path("segfault.gguf")))
        heard.engine.generate(ask("finish"))
        heard.wait_for("answer_ended")
        assert heard.of("failed") == []
        assert heard.of("answer_ended") == [""]
        assert heard.of("notice") == [
            "The draft model segfault made the engine crash. The model is loaded again without it."
        ]
        assert not machine_record.needs_safe_mode(paths.machine)

    def test_a_death_of_the_model_beside_a_sound_draft_is_the_model_s(self, heard: Heard) -> None:
        heard.engine.load(dataclasses.replace(model("segfault"), draft=Path("finish.gguf")))
        heard.wait_for("failed")
        assert heard.engine.state is EngineState.CRASHED


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
from app.system.paths import default_paths
from app.engine.messages import LoadModel
from workers.engine.client import ChatEngine
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
    assert client.STOP_GRACE_MS == process.END_GRACE_MS == 2000
