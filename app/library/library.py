"""The models on this machine: plain files, used where they lie. What is away stays in the list and says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.library.gguf_file import GgufHeader
from app.paths import Paths
from app.settings import Settings


class ModelSource(StrEnum):
    """Why a model is in the list."""

    STARTER = "starter"
    MODELS_FOLDER = "models folder"
    EXTRA_FOLDER = "extra folder"
    SINGLE_FILE = "single file"
    AWAY = "away"
    """The file or folder is in the settings but not there now: a drive that is not connected, a file that was moved."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A row of the models page. `problem` is "" where the model can be loaded, else the sentence that says why not.

    Of a split model `path` is the first part and `size_bytes` the sum. One that is away has the path the settings name.
    """

    path: Path
    name: str
    size_bytes: int
    header: GgufHeader | None
    problem: str
    source: ModelSource
    parts: tuple[Path, ...] = ()

    @property
    def can_load(self) -> bool:
        """Whether the engine may be given this file."""
        return self.header is not None and not self.problem

    @property
    def can_delete(self) -> bool:
        """Only what lies in Bantam's own models folder; everything else is only taken off the list."""
        return self.source is ModelSource.MODELS_FOLDER


@dataclass(frozen=True, slots=True)
class Deletion:
    """A model put aside. `undo` brings it back, `purge` removes it for good. Both may be called once."""

    entry: ModelEntry
    moved: tuple[tuple[Path, Path], ...]
    """(where it was, where it is now) for each file."""

    def undo(self) -> None:
        """Put the files back. Raises StorageError."""

    def purge(self) -> None:
        """Remove the files for good. Raises StorageError."""


def scan(paths: Paths, settings: Settings) -> tuple[ModelEntry, ...]:
    """Every model of the starter, the models folder, the extra folders and the single files, by name; each file once.

    Never raises for what it finds: an unreadable file or folder is an entry with a `problem`.
    """
    return ()


def delete(entry: ModelEntry) -> Deletion:
    """Put a model of the models folder aside, to be undone or purged. Raises StorageError, also for other sources."""
    return Deletion(entry, ())


def without(entry: ModelEntry, settings: Settings) -> Settings:
    """The settings without the single file or extra folder this entry comes from: how it is taken off the list."""
    return settings
