"""Make: a plan is asked for after each change, shown with its verdict, and run; what cannot be run says why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.library.library import ModelEntry
from app.library.manifest import FileOrigin
from app.library.provenance import FfnCut
from app.library.safetensors import FolderFacts
from app.recipe.messages import RecipePlanned
from app.recipe.recipe import QuantizeStep, Recipe, RecoverStep, read_recipe
from tests.ui.scenes import sample_entries
from tests.ui.scenes_ledger import FOLDER, source, variants
from tests.ui.scenes_recipe import BUDGET, RECIPE, job, plan_of
from tests.ui.scenes_smaller import offers
from tests.ui.seen import clock_of
from ui.models.models_model import ModelsModel
from ui.workshop.recipe_pane import RecipePane
from ui.workshop.recipe_words import RECOVER
from workers.jobs import JobState


def other() -> ModelEntry:
    return dataclasses.replace(source(), path=Path("/models/other"), name="other", facts=FolderFacts(layers=12))


@pytest.fixture
def models(qapp) -> ModelsModel:
    models = ModelsModel()
    models.set_entries((source(), *variants(), *sample_entries()[:2], other()))
    return models


@pytest.fixture
def asked() -> list[tuple[Path, Recipe]]:
    return []


@pytest.fixture
def pane(qtbot: QtBot, models: ModelsModel, asked: list[tuple[Path, Recipe]]) -> RecipePane:
    pane = RecipePane(models)
    qtbot.addWidget(pane)
    clock_of(pane).setInterval(0)
    pane.plan_wanted.connect(lambda path, recipe: asked.append((path, recipe)))
    pane.set_budget(BUDGET)
    pane.editor.show_recipe(RECIPE)
    pane.resize(1100, 640)
    with qtbot.waitExposed(pane):
        pane.show()
    qtbot.waitUntil(lambda: bool(asked))
    asked.clear()
    pane.show_plan(plan_of(RECIPE))
    return pane


def names(pane: RecipePane) -> list[str]:
    return [row.name for row in pane.outcome.table.rows]


def test_every_folder_of_original_weights_can_be_chosen(pane: RecipePane) -> None:
    assert [pane.source.itemText(number) for number in range(pane.source.count())] == ["Qwen3-1.7B", "other"]
    assert "28 layers, FFN 6,144 wide" in pane.facts.accessibleName()


def test_without_one_it_says_what_to_do_first(pane: RecipePane, models: ModelsModel, qtbot: QtBot) -> None:
    models.set_entries(sample_entries())
    assert not pane.empty.isHidden()
    assert pane.whole.isHidden()
    assert pane.source.isHidden()
    with qtbot.waitSignal(pane.discover_requested):
        pane.empty.action.click()
    models.set_entries((source(),))
    assert pane.empty.isHidden()
    assert not pane.source.isHidden()


def test_a_plan_shows_the_result_beside_the_original(pane: RecipePane) -> None:
    pane.show_offers(offers())
    assert names(pane) == ["The original, BF16", "Q4_K_M without pruning", "Q4_K_M by this recipe"]
    assert pane.outcome.table.rows[-1].values == ("0.9 GB", "about 1.6 GB", "about 71 ms")
    assert "fits: about 1.6 GB of your 9.2 GB free" in pane.outcome.verdict.text()
    assert pane.outcome.total.text() == "About 1 h 2 min and 7.3 GB of disk; 61.2 GB are free."
    assert pane.outcome.run.isEnabled()


def test_what_was_pruned_already_is_not_called_the_original(pane: RecipePane, models: ModelsModel) -> None:
    origin = FileOrigin("a" * 64, 1, parent="../whole", steps=(FfnCut(8192, (6144,)),))
    pruned = dataclasses.replace(other(), origin=origin, facts=FolderFacts(type="BF16"))
    models.set_entries((source(), pruned))
    assert pane.source.itemText(1) == "other, pruned"
    pane.choose(pruned.path)
    assert names(pane)[0] == "As it is now, BF16"


def test_a_change_asks_again_once(pane: RecipePane, asked: list[tuple[Path, Recipe]], qtbot: QtBot) -> None:
    pane.editor.cards[0].fields.edit(amount=0.5)
    pane.editor.cards[0].fields.edit(amount=0.75)
    assert not pane.outcome.run.isEnabled(), "what it takes is not known any more"
    assert pane.outcome.verdict.text() == "Working out what it takes…"
    qtbot.waitUntil(lambda: bool(asked))
    assert [(path, recipe.steps[0].amount) for path, recipe in asked] == [(FOLDER, 0.75)]


def test_an_answer_to_an_earlier_question_counts_for_nothing(pane: RecipePane) -> None:
    pane.editor.cards[0].fields.edit(amount=0.5)
    pane.show_plan(plan_of(RECIPE))
    assert not pane.outcome.run.isEnabled()


def test_another_model_asks_again(pane: RecipePane, asked: list[tuple[Path, Recipe]], qtbot: QtBot) -> None:
    pane.choose(other().path)
    qtbot.waitUntil(lambda: bool(asked))
    assert asked[-1][0] == other().path
    pane.show_plan(plan_of(RECIPE))
    assert not pane.outcome.run.isEnabled(), "that plan is for the other model"


def test_nothing_is_asked_while_the_page_is_not_seen(pane: RecipePane, asked: list[object], qtbot: QtBot) -> None:
    pane.hide()
    pane.refresh()
    qtbot.waitUntil(lambda: not clock_of(pane).isActive())
    assert asked == []
    pane.show()
    qtbot.waitUntil(lambda: bool(asked))


def test_a_recipe_that_cannot_be_is_not_asked_about(pane: RecipePane, asked: list[object]) -> None:
    pane.editor.cards[0].remove.click()
    assert "nothing to win back" in pane.outcome.verdict.text()
    assert pane.outcome.verdict.property("role") == "danger"
    assert not clock_of(pane).isActive()
    assert asked == []
    pane.editor.cards[0].remove.click()
    assert "Working out" in pane.outcome.verdict.text()
    pane.editor.cards[0].remove.click()
    assert "no steps" in pane.outcome.verdict.text()
    assert pane.outcome.verdict.property("role") == "secondary", "it is only empty yet"


def test_a_step_that_this_model_cannot_spare_is_said_below_too(pane: RecipePane, models: ModelsModel) -> None:
    narrow = dataclasses.replace(other(), facts=FolderFacts(layers=12, ffn_width=256))
    models.set_entries((source(), narrow))
    pane.choose(narrow.path)
    assert "256 wide" in pane.outcome.verdict.text()
    assert not pane.outcome.run.isEnabled()


def test_what_is_there_already_is_said_before_it_runs(pane: RecipePane) -> None:
    words = "“x-ffn512” is there already, made by these very steps."
    pane.show_plan(dataclasses.replace(plan_of(RECIPE), notice=words, then="measures it again"))
    assert pane.outcome.verdict.text().startswith(f"{words} “Run” measures it again. Q4_K_M fits")
    assert pane.outcome.run.isEnabled()


def test_why_it_cannot_run_is_the_planners_sentence(pane: RecipePane) -> None:
    plan = RecipePlanned(FOLDER, (), (), 0, 0, 10**9, "Learning needs 17.1 GB of memory; 14.0 GB can be given.")
    pane.show_plan(plan)
    assert "17.1 GB" in pane.outcome.verdict.text()
    assert not pane.outcome.run.isEnabled()
    assert [card.time.text() for card in pane.editor.cards] == ["", "", ""]


def test_a_child_that_cannot_plan_is_a_sentence(pane: RecipePane) -> None:
    pane.refuse(other().path, "not this one")
    assert "not this one" not in pane.outcome.verdict.text()
    pane.refuse(FOLDER, "The config.json is damaged.")
    assert pane.outcome.verdict.text() == "The config.json is damaged."


def test_run_asks_for_what_is_shown(pane: RecipePane, qtbot: QtBot) -> None:
    with qtbot.waitSignal(pane.run_requested) as asked:
        pane.outcome.run.click()
    assert asked.args == [FOLDER, RECIPE]


def test_a_running_recipe_can_be_cancelled_here(pane: RecipePane, qtbot: QtBot) -> None:
    pane.show_job(job(JobState.RUNNING))
    assert pane.outcome.verdict.text().startswith("Step 2 of 3: Learning from the original")
    assert pane.outcome.run.isHidden()
    with qtbot.waitSignal(pane.cancel_requested):
        pane.outcome.cancel.click()
    pane.show_job(job(JobState.CANCELLED))
    assert pane.outcome.cancel.isHidden()
    assert pane.outcome.run.isEnabled()


def test_files_are_written_and_read(pane: RecipePane, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    pane.save_file(file)
    assert read_recipe(file) == RECIPE
    pane.editor.add_step(RECOVER)
    pane.open_file(file)
    assert pane.editor.recipe == RECIPE


def test_a_file_that_is_no_recipe_leaves_this_one(pane: RecipePane, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[[step]]\nprune = 'trees'\n")
    pane.open_file(file)
    assert "“other.toml”" in pane.error.sentence
    assert "“amount” is missing" in pane.error.sentence
    assert pane.editor.recipe == RECIPE
    pane.save_file(tmp_path / "none" / "mine.toml")
    assert "could not be written" in pane.error.sentence


def test_a_recipe_without_files_says_so(pane: RecipePane) -> None:
    pane.editor.show_recipe(Recipe("Only quantize", (QuantizeStep(()),)))
    pane.refresh()
    assert "Choose one at least." in pane.outcome.verdict.text()


def test_a_recipe_needs_its_steps(pane: RecipePane) -> None:
    pane.editor.show_recipe(Recipe("Learn", (RecoverStep(),)))
    pane.refresh()
    assert not pane.outcome.run.isEnabled()
