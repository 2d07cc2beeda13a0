"""A recipe through the real window, with real children: planned, run, compared, and its result answers in the chat."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.prune.messages import PruneMethod
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe
from app.settings import Settings, save_settings
from app.system.paths import Paths
from tests.real_models import STDLIB_3M
from tests.ui.chat.chat_steps import begin, contents
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from ui.workshop.page import COMPARE
from workers.engine.client import EngineState

TIMEOUT_MS = 300_000
RECIPE = Recipe(
    "Narrower, Q8", (PruneStep(PruneMethod.FFN, 0.3, refit=False), QuantizeStep(("Q8_0",), calibrate=False))
)


@pytest.fixture
def program(qtbot: QtBot, theme: ThemeWatcher, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """With an engine of its own; nothing is loaded yet."""
    save_settings(paths.settings, Settings(decode_threads=1, prefill_threads=1, context_tokens=1024))
    program = Program(paths, theme)
    monkeypatch.setattr(program.hub.speed, "measure", lambda: None)  # seconds, for a figure that nobody reads here
    qtbot.addWidget(program.window)
    yield program
    program.window.hide()
    program.end()
    shiboken6.delete(program)


@pytest.mark.wide
@pytest.mark.parametrize("is_added", [False, True], ids=["in the models folder", "a folder that was added itself"])
def test_a_recipe_becomes_a_model_that_answers(
    program: Program, paths: Paths, tmp_path: Path, qtbot: QtBot, is_added: bool
) -> None:
    source = Path(shutil.copytree(STDLIB_3M, (tmp_path if is_added else paths.models) / "me" / "stdlib"))
    if is_added:
        program.settings.update(model_folders=(str(source),))
    program.window.show()
    program.library.refresh()
    program.window.show_page(Page.WORKSHOP)
    page, pane = program.workshop_page, program.workshop_page.make
    pane.show_for(source, RECIPE)
    qtbot.waitUntil(lambda: pane.outcome.run.isEnabled(), timeout=TIMEOUT_MS)
    assert pane.entry is not None
    assert pane.entry.path == source
    pane.outcome.run.click()
    made = source.with_name("stdlib-ffn512") / "stdlib-ffn512-Q8_0.gguf"
    qtbot.waitUntil(lambda: bool(page.compare.notice.sentence or pane.error.sentence), timeout=TIMEOUT_MS)
    assert (pane.error.sentence, pane.error.hint) == ("", "")
    assert "is here" in page.compare.notice.sentence
    assert "is here" in pane.notice.sentence
    assert made.is_file()
    qtbot.waitUntil(lambda: page.view == COMPARE, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: "KL" in page.compare.chosen.accessibleName(), timeout=TIMEOUT_MS)
    page.compare.notice.buttons()["Chat"].click()
    qtbot.waitUntil(lambda: program.engine.state is EngineState.READY, timeout=TIMEOUT_MS)
    assert program.window.pages.currentIndex() == Page.CHAT
    assert program.engine.model is not None
    assert program.engine.model.path == made
    chat = program.chat_page
    with qtbot.waitSignal(chat.answering.finished, timeout=TIMEOUT_MS):
        begin(qtbot, chat, "What does os.path.join do?")
    assert contents(chat)[-1].strip()
    assert len(contents(chat)) == 2
