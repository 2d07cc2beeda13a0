"""Find a model: search the hub, see of each file whether it fits this computer and how fast it will be, download it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.fit.first_choice import suggest
from app.fit.judgement import MADE_TYPES, Judgement, Made, MemoryBudget, made_key
from app.fit.verdict import Choice, best, choice_of
from app.hub.repository import ModelFormat, RemoteModel, Repository, SearchQuery
from app.hub.transport import Hub, endpoint_of
from app.quantize.messages import Quantize
from app.system.paths import Paths
from ui.discover.make_from_hub import HubOffer, Presence
from ui.discover.repository_view import RepositoryView
from ui.discover.search_pane import LEAST_WIDTH, WIDTH, ResultRow, SearchPane
from ui.discover.table import DOWNLOADED, RemoteModelsModel, RemoteRow
from workers.downloads import FINAL, DownloadStatus
from workers.protocol import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from workers.downloads import Downloads
    from workers.fits import Fits
    from workers.hub_browser import HubBrowser
    from workers.hub_builds import Makings
    from workers.machine_speed import SpeedService
    from workers.settings_store import SettingsStore

_SEARCH_SHARE = 0.375


_SHOWN = frozenset({"hub_endpoint", "context_tokens", "kv_type", "target_ms_per_token"})
"""The settings that the page shows something of."""


class DiscoverPage(QWidget):
    """The search on the left, the chosen repository on the right."""

    chat_requested = Signal(Path)
    """Path of a model that is here."""
    quantize_requested = Signal(Quantize)
    """Quantize, of original weights that are here"""
    token_given = Signal(str)
    """An access token to keep; `token_kept` answers."""

    def __init__(
        self,
        browser: HubBrowser,
        fits: Fits,
        downloads: Downloads,
        makings: Makings,
        speed: SpeedService,
        settings: SettingsStore,
        paths: Paths,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self._browser, self._fits, self._downloads, self._speed = browser, fits, downloads, speed
        self._settings, self._makings = settings, makings
        self._presence = Presence(downloads, makings, paths.models)
        self._budget = MemoryBudget(0, 0)
        self._total_bytes = 0
        self._repository: Repository | None = None
        self._wanted = self._failed = ""
        self._judgements: dict[str, Judgement] = {}
        self._has_token = False
        self._chose_row = False
        self._rows = RemoteModelsModel(self)
        self.search = SearchPane()
        self.view = RepositoryView(self._rows, settings.current.context_tokens)
        self._search_soon = QTimer(self, singleShot=True, interval=400)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.search)
        row.addWidget(self.view, 1)
        self._connect()

    def set_budget(self, budget: MemoryBudget, total_bytes: int) -> None:
        """What a model may take now; arrives every second or so, and is passed on where it changed much."""
        first = self._total_bytes == 0
        self._total_bytes = total_bytes
        near = abs(budget.now_bytes - self._budget.now_bytes) < 0.01 * max(1, budget.now_bytes)
        if not near or budget.machine_bytes != self._budget.machine_bytes:
            self._budget = budget
            self._show_rows(choose=False)
        if first and not self.search.query().text:
            self._show_first_models()

    def set_has_token(self, has_token: bool) -> None:
        """Whether an access token is kept."""
        self._has_token = has_token

    def token_kept(self, sentence: str) -> None:
        """A token that was given is in force: go on with what was refused."""
        self._has_token = True
        self.view.access.say(sentence)
        if self._repository is not None:
            self._fits.judge_all(self._repository)
            for status in self._downloads.statuses:
                if status.needs_access and status.plan.repository == self._repository.id:
                    self._downloads.resume(status.id)

    def look_for(self, text: str) -> None:
        """Search for `text`, as if it had been typed."""
        self.search.field.setText(text)
        self.focus_search()

    def show_repository(self, repository_id: str) -> None:
        """Open a repository, and mark its row where the list has it."""
        ids = [row.summary.id for row in self.search.results.rows]
        if repository_id in ids:
            self.search.list.setCurrentIndex(self.search.results.index(ids.index(repository_id), 0))
        self._open(repository_id)

    def focus_search(self) -> None:
        self.search.field.setFocus()
        self.search.field.selectAll()

    # searching

    def _on_query(self, *, at_once: bool = False) -> None:
        self._search_soon.start(0 if at_once else self._search_soon.interval())

    def _search(self) -> None:
        query = self.search.query()
        if query == SearchQuery(format=query.format, sort=query.sort) and not self.search.wants_all:
            self._browser.cancel_search()
            self._show_first_models()
            return
        self.search.show_busy()
        self._browser.search(query)

    def _show_first_models(self) -> None:
        settings, speed = self._settings.current, self._speed.speed
        suggested = suggest(
            self._total_bytes, settings.context_tokens, self._budget, speed, settings.target_ms_per_token
        )
        self.search.show_first([ResultRow(model.summary, model.why) for model in suggested.models])

    def _on_speed_changed(self) -> None:
        """Another model may come first now, but no row moves away under the mouse, nor from what was opened of it."""
        if self.search.shows_first and not self._wanted and not self.search.list.underMouse():
            self._show_first_models()
        self._show_rows()

    def _on_results(self, results: tuple, is_first: bool) -> None:
        rows = [ResultRow(summary) for summary in results]
        self.search.results.replace(rows) if is_first else self.search.results.append(rows)

    def _on_search_failed(self, failure: Failure) -> None:
        self.search.show_failure(failure, offline=self._browser.is_offline)

    # a repository

    def _open(self, repository_id: str) -> None:
        if repository_id == self._wanted:
            return  # a click on what is shown already
        self._wanted = repository_id
        self._fits.cancel()
        self._repository, self._judgements = None, {}
        self.view.show_opening(repository_id)
        self._fits.warm_up()
        self._browser.open(repository_id)

    def _on_opened(self, repository: Repository) -> None:
        self._repository, self._judgements, self._chose_row = repository, {}, False
        self._rows.set_rows(())
        self._presence.look(self._repository)
        self.view.context.set_limit(0)
        self.view.show_repository(repository, has_token=self._has_token)
        self._show_rows()
        self._fits.judge_all(repository)

    def _on_open_failed(self, repository_id: str, failure: Failure) -> None:
        if repository_id == self._wanted:
            self._wanted, self._failed = "", repository_id
            self.view.nothing.say(failure.sentence, failure.hint, again=True)

    def _on_judged(self, repository_id: str, judgement: Judgement) -> None:
        if self._repository is None or repository_id != self._repository.id:
            return
        self._judgements[judgement.key] = judgement
        if judgement.curve is not None:
            self.view.context.set_limit(judgement.curve.trained_context_tokens)
        self._show_rows()

    def _on_unjudged(self, repository_id: str, key: str, failure: Failure) -> None:
        if self._repository is None or repository_id != self._repository.id:
            return
        model = next((one for one in self._repository.models if one.key == key), None)
        for one in self._repository.models:
            if model is not None and (one.format, one.family) == (model.format, model.family):
                self._judgements[one.key] = Judgement(one.key, problem=failure.sentence)
        self._show_rows()

    def _show_rows(self, *, choose: bool = True) -> None:
        """`choose` False leaves the selection: free memory changes, and a button must not change its file."""
        if self._repository is None:
            return
        settings = self._settings.current
        lines = self._lines()
        choices = [self._choice(model, kind) for model, kind in lines]
        known = [choice for choice in choices if choice is not None]
        taken = best(known, settings.target_ms_per_token) if len(known) == len(choices) else None
        rows = [
            RemoteRow(
                model,
                choice,
                choice is not None and choice is taken,
                self._presence.state(model, kind),
                self._presence.trouble(model),
                kind,
                self._made(model, kind),
            )
            for (model, kind), choice in zip(lines, choices, strict=True)
        ]
        self._rows.set_rows(rows)
        if choose:
            self._choose_row(taken.key if taken else "")
        self._show_details()

    def _lines(self) -> list[tuple[RemoteModel, str]]:
        """A row for each file; of original weights one for each type to make, unless nothing can be told of them."""
        assert self._repository is not None
        lines: list[tuple[RemoteModel, str]] = []
        for model in self._repository.models:
            whole = model.format is ModelFormat.GGUF or model.key in self._judgements
            lines += [(model, "")] if whole else [(model, kind) for kind in MADE_TYPES]
        return lines

    def _choice(self, model: RemoteModel, type: str) -> Choice | None:
        judgement = self._judgements.get(made_key(model.key, type) if type else model.key)
        if judgement is None:
            return None
        kv_type, context = self._settings.current.kv_type, self.view.context.tokens
        label, size = type or model.label, judgement.made.size_bytes if judgement.made else model.size_bytes
        return choice_of(judgement, label, size, context, kv_type, self._budget, self._speed.speed)

    def _made(self, model: RemoteModel, type: str) -> Made | None:
        judgement = self._judgements.get(made_key(model.key, type))
        return judgement.made if judgement else None

    def _choose_row(self, best_key: str) -> None:
        """The first row, until the best one is known or the user has chosen another."""
        current = self.view.table.currentIndex()
        if self._chose_row and current.isValid():
            return
        row = self._rows.row_of(best_key) if best_key else 0
        if self._rows.rowCount() and row >= 0 and current.row() != row:
            self.view.table.selectionModel().blockSignals(True)
            self.view.table.setCurrentIndex(self._rows.index(row, 0))
            self.view.table.selectionModel().blockSignals(False)
            self.view.table.scrollTo(self._rows.index(row, 0))
            self.view.table.viewport().update()

    def _on_row_chosen(self) -> None:
        self._chose_row = True
        self._show_details()

    def _current_row(self) -> RemoteRow | None:
        row = self.view.table.currentIndex().row()
        return self._rows.rows[row] if 0 <= row < len(self._rows.rows) else None

    def _show_details(self) -> None:
        error = self._speed.error
        target = self._settings.current.target_ms_per_token
        row = self._current_row()
        offers = self._offers(row) if row is not None and row.type else ()
        self.view.details.show_row(row, self._budget, target, error.sentence if error else "", offers)

    def _offers(self, row: RemoteRow) -> tuple[HubOffer, ...]:
        """All that can be made of the same weights as this row."""
        offers = []
        for other in self._rows.rows:
            if other.type and other.model.key == row.model.key:
                room = self._presence.disk(other.model, other.made) if other.made else (0, None)
                offers.append(HubOffer(other, *room))
        return tuple(offers)

    # downloading

    def _on_pressed(self, word: str) -> None:
        row = self._current_row()
        if row is None or self._repository is None:
            return
        status = self._presence.status(row.model)
        if word == "Chat":
            self.chat_requested.emit(self._presence.file(row.model, row.type))
        elif status is not None:
            self._downloads.pause(status.id) if word == "Pause" else self._downloads.resume(status.id)
        else:
            self._downloads.add(self._presence.plan(self._endpoint, row.model))

    def _on_make(self, kind: str) -> None:
        """The whole way to a model of this type, or what is left of it."""
        chosen = self._current_row()
        row = next((r for r in self._rows.rows if chosen and r.type == kind and r.model is chosen.model), None)
        if row is None or row.made is None:
            return
        self.view.table.setCurrentIndex(self._rows.index(self._rows.row_of(row.key), 0))
        folder = self._presence.folder
        request = Quantize(folder, self._presence.file(row.model, kind), kind)
        if row.state == DOWNLOADED:
            self.quantize_requested.emit(request)
        else:
            self._makings.make(self._presence.plan(self._endpoint, row.model, row.made), request)

    def _on_making_changed(self, folder: Path) -> None:
        if self._repository is not None and folder == self._presence.folder:
            self._presence.look(self._repository)
            self._show_rows(choose=False)

    @property
    def _endpoint(self) -> str:
        return endpoint_of(self._settings.current.hub_endpoint)

    def _on_download_changed(self, status: DownloadStatus) -> None:
        if self._repository is None or status.plan.repository != self._repository.id:
            return
        if status.needs_access and status.failure is not None:
            self.view.ask_for_access(self._repository.summary.gate, status.failure.sentence)
        if status.state in FINAL:
            self._presence.look(self._repository)
        if any(row.state != self._presence.state(row.model, row.type) for row in self._rows.rows):
            self._show_rows(choose=False)

    def _on_page_wanted(self) -> None:
        if self._repository is not None:
            hub = Hub(self._endpoint)
            QDesktopServices.openUrl(QUrl(hub.page_url(self._repository.id)))

    # how it is put together

    def _connect(self) -> None:
        self.search.changed.connect(self._on_query)
        self.search.confirmed.connect(lambda: self._on_query(at_once=True))
        self.search.chosen.connect(self._open)
        self.search.results.more_wanted.connect(self._browser.more)
        self._search_soon.timeout.connect(self._search)
        self._browser.results.connect(self._on_results)
        self._browser.search_ended.connect(self.search.show_ended)
        self._browser.search_failed.connect(self._on_search_failed)
        self._browser.opened.connect(self._on_opened)
        self._browser.open_failed.connect(self._on_open_failed)
        self._browser.card.connect(lambda _repository, text: self.view.show_card(text))
        self._fits.judged.connect(self._on_judged)
        self._fits.failed.connect(self._on_unjudged)
        self._downloads.changed.connect(self._on_download_changed)
        self._downloads.ended.connect(self._on_download_changed)
        self._makings.changed.connect(self._on_making_changed)
        self._speed.changed.connect(self._on_speed_changed)
        self._settings.changed.connect(self._on_settings_changed)
        self.view.context.changed.connect(lambda _tokens: self._show_rows())
        self.view.table.selectionModel().currentRowChanged.connect(lambda *_: self._on_row_chosen())
        self.view.table.doubleClicked.connect(lambda *_: self.view.details.activate())
        self.view.table.entered.connect(self.view.details.activate)
        self.view.details.pressed.connect(self._on_pressed)
        self.view.details.make.requested.connect(self._on_make)
        self.view.nothing.action.clicked.connect(lambda: self._open(self._failed))
        self.view.access.token_given.connect(self.token_given)
        self.view.page_wanted.connect(self._on_page_wanted)

    def _on_settings_changed(self, fields: frozenset[str]) -> None:
        if fields & _SHOWN:
            self.search.show_mirror(Hub(self._endpoint))
            self._show_rows()

    # Qt overrides

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.search.show_mirror(Hub(self._endpoint))
        if self._speed.speed is None:
            self._speed.measure()
        self._presence.look(self._repository)  # deleted on the models page, perhaps
        self._show_rows(choose=False)
        if not self.search.results.rows and not self._browser.is_searching:
            self._search()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the page out anew. In a narrow window the search gives way first: the verdicts are what the page is
        for.
        """
        super().resizeEvent(event)
        self.search.setFixedWidth(max(LEAST_WIDTH, min(WIDTH, int(self.width() * _SEARCH_SHARE))))

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._search_soon.stop()
