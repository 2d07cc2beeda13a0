"""What the Workshop's recipe sets off: plans from a child, one job, and what comes of it in the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.errors import AppError
from app.fit.draft_suggestions import Siblings, Wanted
from app.fit.verdict import memory_budget
from app.measure.families import LedgerRow
from app.measure.messages import MeasureQuality
from app.recipe.messages import FinishModel
from app.recipe.recipe import BegunRecipe, QuantizeStep, Recipe, forget, remember
from app.recipe.work import place_for
from app.recover.messages import Recovered
from ui.errors import NoticeBar
from ui.navigation import Page
from ui.words import KEPT
from ui.workshop.counterparts import PLAIN_TYPE, found_words
from ui.workshop.page import MAKE
from ui.workshop.recipe_words import recovered_words
from workers.jobs import JobHandle, JobState, JobStatus
from workers.protocol import Failure
from workers.recipe_plans import recipe_job

if TYPE_CHECKING:
    from ui.errors import WindowBars
    from ui.models.models_model import ModelsModel
    from ui.navigation import Navigation
    from ui.workshop.compare_pane import ComparePane
    from ui.workshop.page import WorkshopPage
    from workers.services import Services


@dataclasses.dataclass(frozen=True, slots=True)
class LeftRecipe:
    """A recipe that the last run did not see the end of, and what takes it out of the bar above all pages."""

    begun: BegunRecipe
    leave_out: Callable[[], None]


def connect_recipes(
    page: WorkshopPage,
    services: Services,
    models: ModelsModel,
    bars: WindowBars,
    navigation: Navigation,
    left: LeftRecipe | None = None,
) -> None:
    """Connect the page's recipe with the services; once."""
    _Recipes(page, services, models, bars, navigation, left)


class _Recipes(QObject):
    """The slots. Lives as long as the page."""

    def __init__(
        self,
        page: WorkshopPage,
        services: Services,
        models: ModelsModel,
        bars: WindowBars,
        navigation: Navigation,
        left: LeftRecipe | None,
    ) -> None:
        super().__init__(page)
        self._page, self._pane, self._services, self._paths = page, page.make, services, services.paths
        self._models, self._bars, self._navigation = models, bars, navigation
        self._running: JobHandle | None = None
        self._result: Path | None = None
        """A file that is shown as soon as the list of models has it."""
        hub, pane = services.hub, page.make
        pane.plan_wanted.connect(self._on_plan_wanted)
        pane.run_requested.connect(self._on_run)
        pane.cancel_requested.connect(self._on_cancel)
        hub.recipes.planned.connect(pane.show_plan)
        page.compare.offers_wanted.connect(self._ask_for_offers)
        hub.recipes.offered.connect(pane.show_offers)
        hub.recipes.offered.connect(page.compare.show_offers)
        hub.recipes.refused.connect(pane.refuse)
        hub.speed.changed.connect(self._on_speed)
        pane.source.activated.connect(lambda _number: self._remember_source())
        if services.state.current.last_source:
            pane.choose(Path(services.state.current.last_source))
        if left is not None:
            self._show_begun(left)
        models.modelReset.connect(self._show_result)
        models.dataChanged.connect(lambda *_: self._show_result())

    def _show_begun(self, left: LeftRecipe) -> None:
        """The recipe that the last run did not see the end of stands here, whatever the user said to the notice.

        The bar above all pages speaks of it no longer: nobody needs to read it twice.
        """
        begun, bar = left.begun, self._pane.notice
        left.leave_out()
        self._pane.show_for(begun.source, begun.recipe)
        bar.show_notice(begun.sentence, "Go on", lambda: self._on_run(begun.source, begun.recipe))
        bar.when_dismissed(lambda: forget(self._paths))

    def _remember_source(self, source: Path | None = None) -> None:
        """What was used last, or what is chosen now, is chosen at the next start."""
        entry = self._pane.entry
        if path := str(source or (entry.path if entry is not None else "")):
            self._services.state.update(last_source=path)

    def _on_plan_wanted(self, source: Path, recipe: Recipe) -> None:
        hub, settings = self._services.hub, self._services.settings.current
        if hub.speed.speed is None:
            hub.speed.measure()  # for the ms a token; the plan is asked again when it is there
        hub.recipes.plan(source, recipe, settings.context_tokens)
        wanted = [PLAIN_TYPE, *(kind for s in recipe.steps if isinstance(s, QuantizeStep) for kind in s.types)]
        missing = tuple(kind for kind in dict.fromkeys(wanted) if not self._pane.knows(source, kind))
        if missing:
            self._ask_for_offers(source, missing)

    def _ask_for_offers(self, source: Path, types: tuple[str, ...]) -> None:
        settings = self._services.settings.current
        self._services.hub.recipes.offers(source, types, settings.context_tokens, settings.kv_type)

    def _on_speed(self) -> None:
        if not self._services.hub.speed.is_measuring:
            self._pane.forget_offers()
            self._page.compare.forget_offers()
            self._pane.refresh()

    def _on_run(self, source: Path, recipe: Recipe) -> None:
        try:
            job = recipe_job(recipe, source, place_for(source, self._paths), self._paths)
        except AppError as error:
            self._pane.error.show_failure(Failure(error.sentence, error.hint))
            return
        for bar in (self._pane.notice, self._pane.error, self._page.compare.notice):
            bar.hide()  # what is told there is of an earlier run
        self._remember_source(source)
        remember(self._paths, BegunRecipe(source, recipe))
        handle = self._services.hub.jobs.add(dataclasses.replace(job, has_own_words=True))
        handle.progressed.connect(self._pane.show_job)
        handle.ended.connect(lambda status: self._on_ended(status, source, recipe))
        self._running = handle

    def _on_cancel(self) -> None:
        if self._running is not None:
            self._services.hub.jobs.cancel(self._running.id)

    def _on_ended(self, status: JobStatus, source: Path, recipe: Recipe) -> None:
        self._pane.show_job(status)
        self._running = None
        if not self._services.hub.jobs.is_closing:
            forget(self._paths)
        self._services.library.refresh()
        self._pane.refresh()  # what the plan says of earlier results and of the time is not so any more
        if status.state is JobState.DONE:
            self._on_done(status)
        elif status.failure is not None:
            self._on_failed(status.failure, source, recipe)
        else:
            self._pane.notice.show_notice(f"Cancelled: {status.job.title}. {KEPT}")

    def _on_done(self, status: JobStatus) -> None:
        files = [request.model for request in status.job.requests if isinstance(request, MeasureQuality)]
        self._services.library.read_figures()
        self._result = files[0] if files else None
        words = " ".join((_made_words(status, files), *status.notices))
        if not self._is_shown:
            self._tell(self._bars.notice, words, files, lambda: self._navigation.show_page(Page.WORKSHOP))
        else:
            self._tell(self._page.compare.notice, words, files)
            self._tell(self._pane.notice, words, files, lambda: self._page.show_result(files[0]))
        self._show_result()

    def _tell(
        self, bar: NoticeBar, words: str, files: Sequence[Path], compare: Callable[[], object] | None = None
    ) -> None:
        """Tell it with the ways to what was made: `compare` where that is not what is seen already."""
        bar.say(words)
        if files:
            bar.add_button("Chat", lambda: self._navigation.chat_with(files[0]))
        if files and compare is not None:
            bar.add_button("Compare", compare)
        if not files:
            bar.add_button("Models", self._page.compare.models_requested.emit)

    def _on_failed(self, failure: Failure, source: Path, recipe: Recipe) -> None:
        told = dataclasses.replace(failure, hint=f"{failure.hint} {KEPT}".strip())
        bars = (self._pane.error,) if self._is_shown else (self._pane.error, self._bars.error)
        for bar in bars:
            bar.show_failure(told)
            bar.add_button("Run again", lambda: self._on_run(source, recipe))
        self._page.show_view(MAKE)

    def _show_result(self) -> None:
        if self._result is not None and self._models.entry(self._result) is not None:
            path, self._result = self._result, None
            self._page.show_result(path)

    @property
    def _is_shown(self) -> bool:
        return self._page.isVisibleTo(self._page.window())


def _made_words(status: JobStatus, files: Sequence[Path]) -> str:
    folders = [request.model for request in status.job.requests if isinstance(request, FinishModel)]
    made = " and ".join(path.name for path in files or folders[-1:])
    words = f"{made} {'are' if len(files) > 1 else 'is'} here." if made else f"Done: {status.job.title}."
    return words + "".join(f" {recovered_words(one)}" for one in status.results if isinstance(one, Recovered))


# Between the comparison of a pruned model and the hub: what is looked for, and the sentence about what was found.


def connect_ready_made(pane: ComparePane, services: Services, navigation: Navigation) -> None:
    """Connect the pane with the hub; once."""
    _ReadyMade(pane, services, navigation)


class _ReadyMade(QObject):
    """The slots. Lives as long as the pane."""

    def __init__(self, pane: ComparePane, services: Services, navigation: Navigation) -> None:
        super().__init__(pane)
        self._pane, self._services = pane, services
        pane.ready_made_wanted.connect(self._on_wanted)
        pane.discover_requested.connect(navigation.search)
        services.hub.ready_made.answered.connect(self._on_answered)
        services.hub.ready_made.failed.connect(self._on_failed)

    def _on_wanted(self, row: LedgerRow) -> None:
        settings = self._services.settings.current
        if row.source is not None:
            wanted = Wanted(row.entry.size_bytes, settings.context_tokens, settings.kv_type, memory_budget())
            self._services.hub.ready_made.look(row.entry.path, row.source, wanted)

    def _on_answered(self, path: Path, found: Siblings) -> None:
        nearest = found.models[0] if found.models else None
        self._pane.show_ready_made(path, nearest, found.sentence if nearest is None else found_words(nearest))

    def _on_failed(self, path: Path, failure: Failure) -> None:
        self._pane.show_ready_made(path, None, failure.sentence)
