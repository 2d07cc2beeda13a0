"""The list of steps: added, removed, started from a recipe that comes along."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.prune.messages import PruneMethod
from app.recipe.messages import StepPlan
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep, builtin_recipes
from ui.workshop.recipe_editor import RecipeEditor
from ui.workshop.recipe_words import PRUNE, QUANTIZE, RECOVER

RECIPE = Recipe("Mine", (PruneStep(PruneMethod.FFN, 0.25), QuantizeStep()))


@pytest.fixture
def editor(qtbot: QtBot) -> RecipeEditor:
    editor = RecipeEditor(builtin_recipes())
    qtbot.addWidget(editor)
    editor.show_recipe(RECIPE)
    return editor


def kinds(editor: RecipeEditor) -> list[str]:
    return [card.kind for card in editor.cards]


def test_it_begins_with_a_recipe_that_comes_along(qtbot: QtBot) -> None:
    editor = RecipeEditor(builtin_recipes())
    qtbot.addWidget(editor)
    assert editor.recipe == builtin_recipes()[0]


@pytest.mark.parametrize("recipe", builtin_recipes(), ids=lambda recipe: recipe.name)
def test_what_is_shown_is_the_recipe(editor: RecipeEditor, recipe: Recipe) -> None:
    editor.show_recipe(recipe)
    assert editor.recipe == recipe


def test_a_step_is_added_at_its_place(editor: RecipeEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(editor.changed):
        editor.add[RECOVER].click()
    assert kinds(editor) == [PRUNE, RECOVER, QUANTIZE]
    assert [card.accessibleName() for card in editor.cards][1] == "Step 2: Recover"
    assert editor.recipe.steps[1] == RecoverStep()


def test_the_other_cards_stay_as_they_are(editor: RecipeEditor) -> None:
    first = editor.cards[0]
    first.fields.more.click()
    editor.add_step(PRUNE)
    assert editor.cards[0] is first
    assert first.fields.more.isChecked()


def test_steps_are_taken_out_to_the_last(editor: RecipeEditor) -> None:
    editor.cards[0].remove.click()
    assert kinds(editor) == [QUANTIZE]
    assert editor.none.isHidden()
    editor.cards[0].remove.click()
    assert editor.recipe.steps == ()
    assert not editor.none.isHidden()


def test_plans_stand_beside_their_steps(editor: RecipeEditor) -> None:
    plans = (StepPlan(60, 10**9, 10**9, 10**9, "Narrower."), StepPlan(5, 10**9, 10**9, 0, "Fewer bits."))
    editor.show_plans(plans)
    assert [card.time.text() for card in editor.cards] == ["about 1 min", "about 5 s"]
    assert [card.changes.text() for card in editor.cards] == ["Narrower.", "Fewer bits."]
    editor.wait()
    assert editor.cards[0].time.text() == "…"
    assert editor.cards[0].changes.text() == "Narrower.", "the lines below must not jump"
    editor.show_plans(plans[:1])
    assert editor.cards[0].time.text() == "", "a plan of another recipe counts for nothing"


def test_a_recipe_to_start_from_replaces_this_one(editor: RecipeEditor, qtbot: QtBot) -> None:
    actions = editor.start.menu().actions()
    assert [action.text() for action in actions] == [recipe.name for recipe in builtin_recipes()]
    with qtbot.waitSignal(editor.changed):
        actions[-1].trigger()
    assert editor.recipe == builtin_recipes()[-1]


def test_every_field_can_be_told_apart_by_a_screen_reader(editor: RecipeEditor) -> None:
    names = [card.remove.accessibleName() for card in editor.cards] + [b.accessibleName() for b in editor.add.values()]
    assert len(set(names)) == len(names)
    assert all(names)
