"""The first start in its states, the About page, what a start says of the last one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.diagnostics.last_run import BadEnd, End
from app.fit.first_choice import first_choice, first_models
from app.fit.judgement import MemoryBudget
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL
from tests.ui.fake_hub import GB, FakeSpeed
from tests.ui.scenes import Stage, sample_entries, sample_memory
from ui.navigation import Page
from ui.startup.first_load import Start, tell
from ui.startup.first_run import FirstRun


def _starter(stage: Stage, *, loaded: bool = True) -> None:
    """As after a new installation: the starter alone."""
    model = dataclasses.replace(SAMPLE_MODEL, name="stdlib 21M", quantization="Q8_0", parameters=21_000_000)
    stage.engine.load_outcomes.append(model)
    stage.program.models.set_entries(tuple(one for one in sample_entries() if one.path == STARTER_MODEL))
    stage.engine.hold = True
    stage.program.current.load(STARTER_MODEL)
    if loaded:
        stage.engine.step()
    stage.program.window.show_memory(sample_memory(120_000_000))


def first_loading(stage: Stage) -> None:
    _starter(stage, loaded=False)


def first_measuring(stage: Stage) -> None:
    _starter(stage)
    FirstRun(stage.program, stage.program.hub).quiet.stop()


def _suggest(stage: Stage, *, offline: bool, gigabytes: int = 16) -> None:
    _starter(stage)
    budget = MemoryBudget(int(gigabytes * 0.9 * GB), int(gigabytes * 0.58 * GB))
    choice = first_choice(first_models(gigabytes * GB), 4096, budget, FakeSpeed().speed, 200)
    assert choice is not None
    stage.program.chat_page.empty.first_model.show_choice(choice, offline=offline)


def first_suggestion(stage: Stage) -> None:
    _suggest(stage, offline=False)


def first_offline(stage: Stage) -> None:
    _suggest(stage, offline=True, gigabytes=8)


def first_narrow(stage: Stage) -> None:
    _suggest(stage, offline=True)
    stage.window.resize(900, 600)


def about(stage: Stage) -> None:
    stage.load()
    stage.window.show_page(Page.ABOUT)
    page = stage.window.page(Page.ABOUT)
    stage.wait_for(lambda: len(page.licences.toPlainText()) > 1000 and bool(page.machine.values))
    page.show_copied()


def about_end(stage: Stage) -> None:
    about(stage)
    stage.settle()
    bar = stage.window.page(Page.ABOUT).area.verticalScrollBar()
    bar.setValue(bar.maximum())


def about_long(stage: Stage) -> None:
    stage.program._paths = Paths(stage.paths.home / ("Ein sehr langer Ordnername " * 6))
    about(stage)
    stage.window.resize(900, 600)


def crash_told(stage: Stage) -> None:
    stage.load()
    bad = BadEnd(End.CRASHED, "0.1.0", "it touched memory that is not its own (SIGSEGV)")
    tell(stage.window.notice, (), Start(), bad, stage.paths, lambda _: None)


def killed_told(stage: Stage) -> None:
    stage.load()
    tell(stage.window.notice, (), Start(), BadEnd(End.KILLED), stage.paths, lambda _: None)


def suspect_told(stage: Stage) -> None:
    start = Start(
        notice="The last time, Bantam or the computer went down while loading Qwen2.5-14B-Instruct-Q4_K_M.gguf. "
        "It was not loaded again, so that it cannot happen twice.",
        suspect=STARTER_MODEL,
    )
    bad = BadEnd(End.CRASHED, "0.1.0", "it gave up")
    newer = (
        "This data folder was last used by Bantam 9.9. What this version (0.1.0) does not understand of its settings"
    )
    newer += " and measurements is kept in /home/me/.local/share/Bantam/kept-format-2."
    tell(stage.window.notice, (newer,), start, bad, stage.paths, lambda _: None)


def no_keyring(stage: Stage) -> None:
    stage.load()
    stage.program.hub.has_keyring = False
    stage.window.show_page(Page.SETTINGS)
    stage.settle()
    bar = stage.program.settings_page.area.verticalScrollBar()
    bar.setValue(bar.maximum())


FIRST_RUN_SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    first_loading, first_measuring, first_suggestion, first_offline, first_narrow, about, about_end, about_long,
    crash_told, killed_told, suspect_told, no_keyring,
)  # fmt: skip
