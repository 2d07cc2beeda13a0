"""The dialog for a draft of the model itself: what it promises, and that it is honest where that is no gain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.drafts.messages import DraftCost, DraftMade, DraftOption, DraftsPlanned, MakeDraft
from app.recover.messages import OVERNIGHT_TOKENS
from tests.ui.scenes_ledger import source, variants
from ui.drafts.making import NO_TARGET, DraftDialog
from ui.drafts.words import made_words

OPTIONS = (DraftOption(1, 0.1, 0.4, 1.2), DraftOption(2, 0.2, 0.5, 1.5), DraftOption(3, 0.6, 0.6, 0.97))
COSTS = tuple(DraftCost(minutes * 60.0, 5_800_000_000, 7_300_000_000, 61_200_000_000) for minutes in (20, 25, 30))


@pytest.fixture
def asked() -> list[MakeDraft]:
    return []


@pytest.fixture
def dialog(qtbot: QtBot, asked: list[MakeDraft]) -> DraftDialog:
    dialog = DraftDialog(source(), variants()[:2])
    qtbot.addWidget(dialog)
    dialog.plan_wanted.connect(asked.append)
    dialog.begin()
    return dialog


def test_the_most_promising_is_offered(dialog: DraftDialog, asked: list[MakeDraft], qtbot: QtBot) -> None:
    assert not dialog.make.isEnabled(), "nothing is known yet"
    dialog.show_plan(DraftsPlanned(asked[-1], OPTIONS, COSTS))
    assert dialog.layers.currentText() == "2 of 4 layers: about 1.5 ×"
    assert "5 of 10" in dialog.promise.text()
    with qtbot.waitSignal(dialog.requested) as made:
        dialog.accept()
    assert (made.args[0].layers, made.args[0].target) == (2, variants()[0].path)
    assert made.args[0].output.name == f"{source().path.name}-draft-Q8_0.gguf"


def test_what_it_takes_is_said_before_it_is_begun(dialog: DraftDialog, asked: list[MakeDraft]) -> None:
    dialog.show_plan(DraftsPlanned(asked[-1], OPTIONS, COSTS))
    assert dialog.cost.text() == "About 25 min, 5.8 GB of memory and up to 7.3 GB of disk; 61.2 GB are free."
    dialog.budget.choose(OVERNIGHT_TOKENS)
    dialog.budget.activated.emit(1)
    assert asked[-1].budget_tokens == OVERNIGHT_TOKENS
    assert dialog.cost.text() == "", "it is worked out anew"
    dialog.show_plan(DraftsPlanned(asked[-1], OPTIONS, tuple(replace(c, problem="No room.") for c in COSTS)))
    assert dialog.promise.text() == "No room."
    assert not dialog.make.isEnabled()


def test_one_that_promises_no_gain_says_so(dialog: DraftDialog, asked: list[MakeDraft]) -> None:
    dialog.show_plan(DraftsPlanned(asked[-1], OPTIONS, COSTS))
    dialog.layers.choose(3)
    dialog.layers.activated.emit(dialog.layers.currentIndex())
    assert "no gain" in dialog.promise.text()
    assert dialog.make.text() == "Make it all the same"


def test_another_target_is_another_question(dialog: DraftDialog, asked: list[MakeDraft]) -> None:
    first = asked[-1]
    dialog.target.choose(variants()[1].path)
    dialog.target.activated.emit(1)
    assert asked[-1].target == variants()[1].path
    dialog.show_plan(DraftsPlanned(first, OPTIONS, COSTS))
    assert not dialog.make.isEnabled(), "that answer was for the other file"


def test_why_there_can_be_none(dialog: DraftDialog, qtbot: QtBot) -> None:
    dialog.refuse("Its vocabulary is another one.")
    assert dialog.promise.text() == "Its vocabulary is another one."
    assert not dialog.make.isEnabled()
    without = DraftDialog(source(), ())
    qtbot.addWidget(without)
    without.begin()
    assert without.promise.text() == NO_TARGET


@pytest.mark.parametrize(("speed_up", "words"), [(1.4, "It is chosen now."), (0.9, "does not pay: 0.9 ×")])
def test_what_it_gained_stands_beside_what_was_predicted(speed_up: float, words: str) -> None:
    made = DraftMade(Path("m-draft.gguf"), 2, 0.46, 1.5, speed_up, 1.0, 0.5, 60.0)
    said = made_words(made, 1.05)
    assert words in said
    assert "1.5 × predicted" in said
    assert "46 %" in said
