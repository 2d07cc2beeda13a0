"""What of a repository is on this disk, on its way here, or being made of it: the state of each row in a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.fit.judgement import Made
from app.fit.judging import MADE_TYPES
from app.hub.disk import needed_bytes
from app.hub.messages import DownloadPlan
from app.hub.plan import make_plan
from app.hub.repository import ModelFormat, RemoteFile, RemoteModel, Repository
from app.quantize.outputs import output_in
from app.system.disk import SPARE_BYTES, free_bytes
from ui.discover.rows import DOWNLOADED, HERE, MAKING, STOPPED
from workers.downloads import DownloadState, DownloadStatus

if TYPE_CHECKING:
    from workers.downloads import Downloads
    from workers.hub_builds import Makings

STATE_WORDS = {
    DownloadState.QUEUED: "waiting",
    DownloadState.RUNNING: "downloading",
    DownloadState.PAUSING: "pausing",
    DownloadState.PAUSED: "paused",
    DownloadState.FAILED: STOPPED,
    DownloadState.CANCELLING: "cancelling",
}


class Presence:
    """Of one repository at a time. `look` asks the disk; nothing else does, but for the free room."""

    def __init__(self, downloads: Downloads, makings: Makings, models: Path) -> None:
        self._downloads, self._makings, self._models = downloads, makings, models
        self._repository: Repository | None = None
        self._missing: dict[str, tuple[RemoteFile, ...]] = {}
        self._made: frozenset[str] = frozenset()
        self.free: Callable[[Path], int | None] = free_bytes

    @property
    def folder(self) -> Path:
        """Where the repository's files are or will be."""
        assert self._repository is not None
        return self._models / self._repository.id

    def look(self, repository: Repository | None) -> None:
        """Which files are there whole, and what was made. Not asked at each step of the slider."""
        self._repository = repository
        models = repository.models if repository is not None else ()
        self._missing = {m.key: tuple(file for file in m.files if not self._is_here(file)) for m in models}
        made = (kind for kind in MADE_TYPES if repository is not None and output_in(self.folder, kind).exists())
        self._made = frozenset(made)

    def state(self, model: RemoteModel, kind: str) -> str:
        """Of a file, or of what would be made in that type; "" where nothing is done with it."""
        original = model.format is ModelFormat.SAFETENSORS
        if original and kind in self._made:
            return HERE
        if original and kind in self._makings.types_in_work(self.folder):
            return MAKING
        status = self.status(model)
        if status is not None:
            return STATE_WORDS[status.state]
        if original and self._makings.is_downloading(self.folder):
            return STATE_WORDS[DownloadState.RUNNING]
        return "" if self._missing.get(model.key, model.files) else DOWNLOADED if original else HERE

    def trouble(self, model: RemoteModel) -> str:
        """Why its download has stopped; "" otherwise."""
        status = self.status(model)
        failure = status.failure if status is not None and status.state is DownloadState.FAILED else None
        return f"{failure.sentence} {failure.hint}".strip() if failure else ""

    def status(self, model: RemoteModel) -> DownloadStatus | None:
        """Its download, if there is one."""
        for status in self._downloads.statuses:
            same = self._repository is not None and status.plan.repository == self._repository.id
            if same and [f.path for f in status.plan.files] == [f.path for f in model.files]:
                return status
        return None

    def file(self, model: RemoteModel, kind: str) -> Path:
        """What can be chatted with."""
        return output_in(self.folder, kind) if kind else self.folder / model.key

    def plan(self, endpoint: str, model: RemoteModel, made: Made | None = None) -> DownloadPlan:
        """The download, with the room for what is made of it."""
        assert self._repository is not None
        return make_plan(endpoint, self._repository, model, self._models, made.working_bytes if made else None)

    def disk(self, model: RemoteModel, made: Made) -> tuple[int, int | None]:
        """Bytes that the disk must still take for download, 16-bit file and result; and what is free for them."""
        needed = needed_bytes(self.plan("", model, made), self._missing.get(model.key, model.files))
        free = self.free(self.folder)
        return needed, None if free is None else max(0, free - SPARE_BYTES)

    def _is_here(self, file: RemoteFile) -> bool:
        try:
            return (self.folder / file.path).stat().st_size == file.size_bytes
        except OSError:
            return False
