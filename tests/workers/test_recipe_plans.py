"""Recipes and drafts, planned by a real child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.drafts.messages import MakeDraft
from app.engine.messages import KvType
from app.prune.messages import PruneMethod
from app.quantize.messages import Offers
from app.recipe.messages import RecipePlanned
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep
from app.system.paths import Paths
from tests.real_models import STDLIB_3M
from workers.recipe_plans import RecipePlans

TIMEOUT_MS = 120_000
"""Two children import the engine, perhaps on a busy machine."""
RECIPE = Recipe("Two thirds", (PruneStep(PruneMethod.FFN, 1 / 3), RecoverStep(), QuantizeStep(("Q8_0",))))


@pytest.fixture
def plans(paths: Paths) -> Iterator[RecipePlans]:
    plans = RecipePlans(paths)
    yield plans
    plans.close()
    shiboken6.delete(plans)


def test_a_recipe_and_the_original_beside_it(plans: RecipePlans, qtbot: QtBot) -> None:
    plan_answers: list[RecipePlanned] = []
    offer_answers: list[Offers] = []
    plans.planned.connect(plan_answers.append)
    plans.offered.connect(offer_answers.append)
    plans.plan(STDLIB_3M, RECIPE, 1024)
    plans.offers(STDLIB_3M, ("BF16", "Q8_0"), 1024, KvType.F16)
    qtbot.waitUntil(lambda: bool(plan_answers and offer_answers), timeout=TIMEOUT_MS)
    (plan,), (offers,) = plan_answers, offer_answers
    assert (plan.problem, len(plan.steps)) == ("", 3)
    assert 0 < plan.results[0].size_bytes < offers.offers[1].size_bytes


def test_the_last_recipe_is_planned(plans: RecipePlans, qtbot: QtBot, tmp_path: Path) -> None:
    answers: list[RecipePlanned] = []
    plans.planned.connect(answers.append)
    plans.plan(tmp_path, RECIPE, 1024)
    plans.plan(STDLIB_3M, RECIPE, 1024)
    qtbot.waitUntil(lambda: bool(answers), timeout=TIMEOUT_MS)
    assert [answer.source for answer in answers] == [STDLIB_3M]


def test_a_draft_that_cannot_be_is_refused_beside_the_recipe(plans: RecipePlans, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.assertNotEmitted(plans.refused), qtbot.waitSignal(plans.drafts_refused, timeout=TIMEOUT_MS) as refused:
        plans.drafts(MakeDraft(tmp_path, tmp_path / "target.gguf", tmp_path / "draft.gguf"))
    assert refused.args[0] == tmp_path
    assert refused.args[1]
