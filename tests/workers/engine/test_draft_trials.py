"""Drafts through the real child: figures while it answers, the check, the comparison, stopping them, a death in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.engine.messages import (
    CheckDraft,
    CompareDraft,
    DraftCheck,
    DraftVerdict,
    Generate,
    LoadModel,
    Message,
    Role,
    Sampling,
    ThreadCounts,
)
from app.system.paths import STARTER_MODEL
from tests.app.engine.drafts import draft_file
from tests.workers.conftest import Heard
from workers.engine.client import ChatEngine, EngineState

LOAD = LoadModel(STARTER_MODEL, context_tokens=2048, threads=ThreadCounts(1, 1))
QUESTION = (Message(Role.USER, "What does os.path.join do?"),)
CHECK = CheckDraft(("What does os.path.join do?", "Show the signature of shutil.copy."), Sampling(temperature=0), 20)
ENDLESS = CheckDraft(("What does str.split do?",) * 5000, Sampling(temperature=0, ignore_end=True), 200)


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    return draft_file(tmp_path_factory.mktemp("draft"))


@pytest.fixture
def heard(make_engine: Callable[..., ChatEngine], qtbot: QtBot, draft) -> Heard:
    """The starter model with its draft, loaded in the real child."""
    heard = Heard(make_engine(None), qtbot)
    heard.engine.load(dataclasses.replace(LOAD, draft=draft))
    heard.wait_for_state("ready")
    return heard


def test_figures_come_while_it_answers(heard: Heard) -> None:
    assert heard.engine.model.draft is not None
    sampling = Sampling(temperature=0, max_tokens=60, ignore_end=True)
    heard.engine.generate(Generate("one", QUESTION, sampling))
    heard.wait_for("answer_ended")
    assert heard.of("drafting")
    assert heard.of("answer_finished")[0].drafting.new_tokens == 59


def test_the_check_and_then_an_answer(heard: Heard) -> None:
    heard.engine.try_draft(CHECK)
    assert heard.engine.state is EngineState.LOADING
    heard.wait_for("draft_checked")
    (result,) = heard.of("draft_checked")
    assert isinstance(result, DraftCheck)
    assert result.is_sound
    assert heard.of("trial_ended") == [None]
    heard.engine.generate(Generate("one", QUESTION, Sampling(temperature=0, max_tokens=5)))
    heard.wait_for("answer_ended")
    assert heard.of("answer_ended") == [""]


def test_the_comparison(heard: Heard) -> None:
    heard.engine.try_draft(CompareDraft(QUESTION, seconds=0.0))
    heard.wait_for("draft_verdict")
    (verdict,) = heard.of("draft_verdict")
    assert isinstance(verdict, DraftVerdict)
    assert verdict.ratio > 0


def test_a_trial_is_stopped_and_the_model_stays(heard: Heard) -> None:
    heard.engine.try_draft(ENDLESS)
    heard.wait(lambda: any(event.stage == "check draft" for event in heard.of("progress")))
    heard.engine.stop()
    heard.wait(lambda: bool(heard.of("trial_ended")))
    assert heard.engine.state is EngineState.READY
    assert heard.of("draft_checked") == heard.of("failed") == []


def test_a_death_during_a_trial_ends_it(heard: Heard) -> None:
    heard.engine.try_draft(ENDLESS)
    heard.wait(lambda: any(event.stage == "check draft" for event in heard.of("progress")))
    psutil.Process(heard.engine.child_pid).kill()
    heard.wait_for("failed")
    assert heard.of("trial_ended") == [None]


def test_without_a_model_a_trial_fails_with_a_sentence(make_engine: Callable[..., ChatEngine], qtbot: QtBot) -> None:
    heard = Heard(make_engine(None), qtbot)
    heard.engine.try_draft(CHECK)
    assert heard.of("failed")[0].sentence == "No model is loaded."
