"""The engine as the window sees it, over a child that really misbehaves."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.engine.messages import Message, Role, StopReason, ThreadCounts, TokenCount
from app.operation import Stage
from app.system.paths import Paths
from tests.workers.conftest import Heard, ask, model, opened
from workers.engine import client
from workers.engine.client import ChatEngine, EngineState


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
        monkeypatch.setattr(client, "STOP_GRACE_MS", 50)
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
        monkeypatch.setattr(client, "STOP_GRACE_MS", 50)
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
