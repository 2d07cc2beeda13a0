"""All that has to do with the hub and with models that are not here yet: made together, after the first paint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.hub.token import TokenStore, user_name
from app.hub.transport import Hub, endpoint_of
from app.library.messages import VerifyModel
from app.quantize.messages import Quantize
from app.quantize.outputs import part_paths, workspace
from app.system.paths import Paths
from workers.downloads import Downloads
from workers.fits import Fits
from workers.hub_browser import HubBrowser
from workers.hub_builds import Makings
from workers.jobs import Job, JobQueue
from workers.machine_speed import SpeedService
from workers.protocol import Failure
from workers.recipe_plans import InsideService, OfferService, ReadyMade, RecipePlans
from workers.settings_store import SettingsStore
from workers.tasks import TaskRunner


class HubServices(QObject):
    """The services, and the access token that they share."""

    token_changed = Signal(bool, str)
    """Whether a token is kept, and a sentence about it for the user ("" at the start)."""
    token_refused = Signal(str)
    """Why a token that was given is not kept. One that was kept before still is."""

    def __init__(self, paths: Paths, settings: SettingsStore, tasks: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings, self._tasks = settings, tasks
        self._tokens = TokenStore()
        self.has_token = False
        self.has_keyring = True
        """True until it is known; without one a token is forgotten at the end."""
        self.token_changed.connect(self._on_token_changed)
        self.lookups = TaskRunner(self)  # its own: a server that does not answer must not hold up the rest
        self.jobs = JobQueue(paths, parent=self)
        self.downloads = Downloads(paths, settings, self.lookups, self._tokens.get, parent=self)
        self.makings = Makings(paths, self.jobs, self.downloads, self.lookups, self._tokens.get, self)
        self.browser = HubBrowser(self.lookups, self._hub, self)
        self.fits = Fits(paths, self.lookups, self._hub, parent=self)
        self.offers = OfferService(paths, parent=self)
        self.recipes = RecipePlans(paths, self)
        self.ready_made = ReadyMade(paths, self.lookups, self._hub, self)
        self.inside = InsideService(paths, parent=self)
        self.speed = SpeedService(paths, self.jobs, tasks, self)

    @property
    def endpoint(self) -> str:
        """The address of the hub in force."""
        return endpoint_of(self._settings.current.hub_endpoint)

    def begin(self) -> None:
        """Go on with what was being downloaded; see whether there is a token."""
        self.downloads.restore()
        self._run(lambda: (self._tokens.is_kept(), bool(self._tokens.get(self.endpoint))), self._on_token_known)

    def give_token(self, token: str) -> None:
        """Keep a token, once the hub has said whose it is."""

        def check_and_keep() -> str:
            hub = Hub(self.endpoint, token.strip())
            name = user_name(hub)
            kept = self._tokens.set(hub.endpoint, hub.token)
            where = "in your system's keyring" if kept else "until Bantam ends, because this system has no keyring"
            return f"The token of {name} is kept {where}."

        self._run(check_and_keep, lambda sentence: self.token_changed.emit(True, sentence))

    def forget_token(self) -> None:
        """Remove it everywhere."""
        self._run(
            lambda: self._tokens.forget(self.endpoint),
            lambda _: self.token_changed.emit(False, "No token is kept any more."),
        )

    def verify(self, path: Path, name: str) -> None:
        """Read every byte of a model, as a job."""
        self.jobs.add(Job(f"Verifying {name}", (VerifyModel(path),)))

    def quantize(self, requests: tuple[Quantize, ...]) -> None:
        """Make smaller models, each as a job of its own, one after the other."""
        for request in requests:
            folders = (workspace(request),) if request.best else ()
            self.jobs.add(Job(f"Making {request.output.name}", (request,), part_paths(request), folders))

    def close(self) -> None:
        """Close all of them for the end of the program; all bounded."""
        self.makings.close()
        self.browser.close()
        self.fits.close()
        self.offers.close()
        self.recipes.close()
        self.ready_made.close()
        self.inside.close()
        self.downloads.close()
        self.jobs.close()
        self.lookups.close(500)

    def _on_token_known(self, found: tuple[bool, bool]) -> None:
        self.has_keyring, kept = found
        self.token_changed.emit(kept, "")

    def _on_token_changed(self, kept: bool, _sentence: str) -> None:
        self.has_token = kept

    def _hub(self) -> Hub:
        """Called in threads: the keyring may take its time."""
        endpoint = self.endpoint
        return Hub(endpoint, self._tokens.get(endpoint))

    def _run(self, function: Callable[[], object], on_result: Callable[..., object]) -> None:
        self.lookups.run(function, on_result=on_result, on_error=self._on_failed, receiver=self)

    def _on_failed(self, failure: Failure) -> None:
        self.token_refused.emit(f"{failure.sentence} {failure.hint}".strip())
