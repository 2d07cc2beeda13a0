"""The services, the window and its pages, and their life from the first paint to the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from app import __version__
from app.diagnostics.last_run import BadEnd
from app.fit.judgement import MemoryBudget
from app.fit.verdict import budget_of, memory_budget
from app.library.gguf_file import family_name
from app.library.library import purge_deleted
from app.recipe.recipe import BegunRecipe, begun_recipe
from app.settings import set_aside_damaged
from app.system import paths as app_paths
from app.system.hardware import total_memory_bytes
from app.system.paths import Paths
from ui.chat.page import ChatPage, greet
from ui.drafts.choice import Drafts
from ui.errors import WindowBars
from ui.look.theme import ThemeWatcher
from ui.models.models_model import ModelsModel
from ui.navigation import Navigation, Page
from ui.startup.first_load import Start, decide, forget_marker, stale_marker, tell
from ui.startup.restore import geometry_bytes, geometry_of, open_file, place, restore_chat
from ui.startup.single_instance import Visit
from ui.window.job_notices import quit_question
from ui.window.main_window import MainWindow
from workers.engine.client import ChatEngine
from workers.memory_sampler import MemorySample
from workers.protocol import Failure
from workers.services import Services

if TYPE_CHECKING:
    from app.library.library import ModelEntry
    from ui.discover.page import DiscoverPage
    from ui.models.page import ModelsPage
    from ui.models.quantizing import Measuring
    from ui.settings.page import SettingsPage
    from ui.startup.first_run import FirstRun
    from ui.workshop.page import WorkshopPage
    from workers.hub_services import HubServices


class Program(QObject):
    """Makes the services, the window and its pages, hands each what it needs, and ends them in order."""

    def __init__(self, paths: Paths, theme: ThemeWatcher, engine: ChatEngine | None = None) -> None:
        super().__init__()
        self._paths = paths
        self._settings_notice = set_aside_damaged(paths.settings)
        self._told_at_start: tuple[str, ...] = ()
        self._begun: BegunRecipe | None = None
        self._leave_out_recipe: Callable[[], None] = lambda: None
        self._file: Path | None = None
        self._bad_end: BadEnd | None = None
        self._first_run: FirstRun | None = None
        self._measuring: Measuring | None = None
        self.services = services = Services(paths, engine, self)
        self.settings, self.state, self.engine = services.settings, services.state, services.engine
        self.storage, self.tasks, self.library = services.storage, services.tasks, services.library
        self.current, self.sampler = services.current, services.sampler
        self.navigation = Navigation(self)
        self.models = ModelsModel(self)
        self.window = MainWindow(self.engine, self.settings, self.state, self.models, self.current)
        self.bars = WindowBars(self.window.notice, self.window.error, self.window.show_failure)
        self.chat_page = ChatPage(self.engine, self.storage, self.settings, self.tasks)
        self.drafts = Drafts(
            self.window.top.draft, self.engine, self.current, self.models, self.settings, self.tasks, paths,
            self.window.notice, lambda: self.chat_page.conversation.asked_last(), self,
        )  # fmt: skip
        greet(self.chat_page, self.state)
        self._add_pages()
        self._connect(theme)
        self._connect_navigation()

    @property
    def models_page(self) -> ModelsPage:
        """Made when it is first asked for, like the others but the chat."""
        return self.window.page(Page.MODELS)  # type: ignore[return-value]

    @property
    def workshop_page(self) -> WorkshopPage:
        return self.window.page(Page.WORKSHOP)  # type: ignore[return-value]

    @property
    def settings_page(self) -> SettingsPage:
        return self.window.page(Page.SETTINGS)  # type: ignore[return-value]

    @property
    def discover_page(self) -> DiscoverPage:
        return self.window.page(Page.DISCOVER)  # type: ignore[return-value]

    @property
    def hub(self) -> HubServices:
        return self.services.hub

    def show(self, file: Path | None = None, bad_end: BadEnd | None = None, told: tuple[str, ...] = ()) -> None:
        """Show the window as it was left, or with a model `file` to open; the rest begins after the first paint.

        `bad_end` is how the last run ended, where that was not in order; `told` are sentences for the user, beside what
        the start itself finds.
        """
        self._file, self._bad_end, self._told_at_start = file, bad_end, told
        left = self.state.current
        place(self.window, geometry_bytes(left.geometry))
        self.window.show()
        self.window.show_page(Page.CHAT)
        if left.conversation:
            restore_chat(self.chat_page, self.storage, left.conversation)
        QTimer.singleShot(0, self._begin)

    def receive(self, visit: Visit) -> None:
        """A second start wants something of this window."""
        if visit.version not in ("", __version__):
            words = f"Bantam {visit.version} was started while this one ({__version__}) is open."
            self.window.notice.show_notice(f"{words} Close this one first to use that.")
        if visit.file is not None:
            self._open_file(visit.file)

    def end(self) -> None:
        """Save, stop, wait, all bounded. The window is hidden by now."""
        self.state.update(
            geometry=geometry_of(self.window),
            page=self.window.pages.currentIndex(),
            conversation=self.chat_page.conversation.id,
        )
        self.chat_page.unsent.flush()
        self.models_page.purge_deleted()
        if self._first_run is not None:
            self._first_run.close()
        self.services.close()
        forget_marker(self._paths)

    def _begin(self) -> None:
        page = max(0, self.state.current.page)
        start = self._load_first_model()
        self._begun = begun_recipe(self._paths)
        notices = (self._settings_notice, *self._told_at_start)
        self._leave_out_recipe = tell(
            self.window.notice, notices, start, self._bad_end, self._paths, self.current.load,
            self._begun, self._go_on_with_recipe,
        )  # fmt: skip
        if self._file is None and page:
            self.window.show_page(page)
        self.sampler.start()
        self.tasks.run(purge_deleted, self._paths)
        QTimer.singleShot(0, self, lambda: self.library.refresh())
        QTimer.singleShot(0, self, self._begin_hub)

    def _go_on_with_recipe(self, begun: BegunRecipe) -> None:
        self.window.show_page(Page.WORKSHOP)
        self.workshop_page.make.run_requested.emit(begun.source, begun.recipe)

    def _begin_hub(self) -> None:
        from ui.startup.first_run import FirstRun
        from ui.window.job_notices import offer_what_is_here

        self.hub.begin()
        self._first_run = FirstRun(self.services, self.models, self.chat_page.empty, self.navigation)
        offer_what_is_here(self.services, self.window.notice)

    def _load_first_model(self) -> Start:
        start = decide(self.state.current, stale_marker(self._paths), app_paths.STARTER_MODEL)
        if start.suspect is not None:
            forget_marker(self._paths)
            if self.state.current.last_model == str(start.suspect):
                self.state.update(last_model="")
        if self._file is not None:
            self._open_file(self._file, start.load)
        elif start.load is not None:
            self.current.load(start.load)
        return start

    def _open_file(self, path: Path, otherwise: Path | None = None) -> None:
        open_file(self.services, self.navigation, self.window.show_failure, path, otherwise)

    def _on_closed(self) -> None:
        QTimer.singleShot(0, self._end_and_quit)  # after the window system has taken the window away

    def _end_and_quit(self) -> None:
        self.end()
        QApplication.quit()

    def _add_pages(self) -> None:
        self.window.add_page("Chat", "message-square", lambda: self.chat_page)
        self.window.add_page("Discover", "compass", self._make_discover_page)
        self.window.add_page("Models", "boxes", self._make_models_page)
        self.window.add_page("Workshop", "wrench", self._make_workshop_page)
        self.window.add_page("Settings", "settings", self._make_settings_page)
        self.window.add_page("About", "info", self._make_about_page, at_foot=True)

    def _make_discover_page(self) -> QWidget:
        from ui.discover.page import DiscoverPage

        hub = self.hub
        page = DiscoverPage(hub.browser, hub.fits, hub.downloads, hub.makings, hub.speed, self.settings, self._paths)
        page.chat_requested.connect(self.navigation.chat_with)
        page.quantize_requested.connect(lambda request: hub.quantize((request,)))
        page.token_given.connect(hub.give_token)
        hub.token_changed.connect(lambda kept, _sentence: page.set_has_token(kept))
        hub.token_changed.connect(lambda kept, sentence: page.token_kept(sentence) if kept and sentence else None)
        hub.token_refused.connect(page.view.access.say)
        self.sampler.sampled.connect(lambda sample: page.set_budget(_budget(sample), sample.total_bytes))
        page.set_has_token(hub.has_token)
        page.set_budget(memory_budget(), total_memory_bytes())
        return page

    def _make_models_page(self) -> QWidget:
        from ui.inspect.controller import connect_inside
        from ui.models.page import ModelsPage
        from ui.models.quantizing import connect_make_smaller

        page = ModelsPage(self.models, self.library, self.current, self.engine, self.settings, self.tasks, self._paths)
        page.verify_requested.connect(lambda entry: self.hub.verify(entry.path, entry.name))
        page.measure_requested.connect(lambda entry: self._measure((entry,)))
        page.chat_requested.connect(self.navigation.chat_with)
        connect_inside(page, self.services, self.window.notice, connect_make_smaller(page, self.services))
        return page

    def _make_workshop_page(self) -> QWidget:
        from ui.drafts.making import DraftMaking
        from ui.workshop.page import WorkshopPage
        from ui.workshop.recipe_runs import LeftRecipe, connect_ready_made, connect_recipes

        page = WorkshopPage(self.models)
        page.compare.chat_requested.connect(self.navigation.chat_with)
        page.compare.measure_requested.connect(self._measure)
        page.compare.models_requested.connect(lambda: self.window.show_page(Page.MODELS))
        page.make.discover_requested.connect(lambda: self.window.show_page(Page.DISCOVER))
        page.make.folder_requested.connect(self.models_page.ask_for_folder)
        page.make.set_target(self.settings.current.target_ms_per_token)
        page.make.set_budget(memory_budget())
        self.settings.changed.connect(lambda _: page.make.set_target(self.settings.current.target_ms_per_token))
        self.sampler.sampled.connect(lambda sample: page.make.set_budget(_budget(sample)))
        page.make.draft_requested.connect(DraftMaking(self.services, self.models, self.window, self.bars).open)
        left = LeftRecipe(self._begun, self._leave_out_recipe) if self._begun is not None else None
        connect_recipes(page, self.services, self.models, self.bars, self.navigation, left)
        connect_ready_made(page.compare, self.services, self.navigation)
        return page

    def _measure(self, entries: tuple[ModelEntry, ...]) -> None:
        if self._measuring is None:
            from ui.models.quantizing import Measuring

            self._measuring = Measuring(self.services, self.models, self.window.notice, self.navigation)
        self._measuring.measure(entries)

    def _make_settings_page(self) -> QWidget:
        from ui.settings.page import SettingsPage

        return SettingsPage(self.settings, self.engine, self.current, self._paths, self.hub)

    def _make_about_page(self) -> QWidget:
        from ui.settings.about_page import make_about_page

        return make_about_page(self.services)

    def _connect(self, theme: ThemeWatcher) -> None:
        window = self.window
        window.closed.connect(self._on_closed)
        window.quit_question = lambda: quit_question(self.services.jobs)
        window.top.draft.popup.search_requested.connect(self._search_draft)
        window.top.picker.manage_requested.connect(lambda: window.show_page(Page.MODELS))
        self.sampler.sampled.connect(window.show_memory)
        self.library.scanned.connect(self.models.set_entries)
        self.library.figures_read.connect(self.models.set_figures)
        self.engine.model_loaded.connect(lambda model: self.models.set_loaded(model.path))
        self.engine.state_changed.connect(lambda _: self.models.set_loaded(self._loaded_path()))
        self.tasks.failed.connect(window.show_failure)
        self.settings.failed.connect(window.show_failure)
        self.settings.changed.connect(lambda _fields: theme.choose(self.settings.current.theme))
        self.storage.notice.connect(window.notice.show_notice)
        self.storage.failed.connect(lambda sentence, hint: window.show_failure(Failure(sentence, hint)))
        self.services.hub_made.connect(self._on_hub_made)
        QApplication.instance().applicationStateChanged.connect(self._on_application_state)

    def _connect_navigation(self) -> None:
        self.navigation.page_wanted.connect(self.window.show_page)
        self.navigation.chat_wanted.connect(self._chat_with)
        self.navigation.search_wanted.connect(self._search_on_discover)
        self.navigation.repository_wanted.connect(self._show_repository)
        self.navigation.model_made.connect(lambda path: self.models_page.select(path))

    def _on_hub_made(self, hub: HubServices) -> None:
        from ui.window.job_notices import connect_hub

        connect_hub(self.services, hub, self.window, self.navigation)

    def _chat_with(self, path: Path) -> None:
        self.current.load(path)
        self.window.show_page(Page.CHAT)

    def _search_on_discover(self, text: str) -> None:
        self.window.show_page(Page.DISCOVER)
        self.discover_page.look_for(text)

    def _show_repository(self, id: str) -> None:
        self.window.show_page(Page.DISCOVER)
        self.discover_page.show_repository(id)

    def _search_draft(self) -> None:
        """Discover, with the family's name to search for: its smaller members are the likeliest drafts."""
        if self.engine.model is None:
            self.window.show_page(Page.DISCOVER)
        else:
            self.navigation.search(family_name(self.engine.model.name))

    def _loaded_path(self) -> Path | None:
        return self.engine.model.path if self.engine.model else None

    def _on_application_state(self) -> None:
        """Back from another program, which may have added or removed files."""
        if self.window.isActiveWindow():
            self.library.refresh()


def _budget(sample: MemorySample) -> MemoryBudget:
    """What the loaded model would give back counts as free."""
    return budget_of(sample.total_bytes, sample.available_bytes + sample.child_bytes)
