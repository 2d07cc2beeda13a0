"""The models on this machine: plain files, used where they lie. What is away stays in the list and says so."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from app.errors import ModelFileError, StorageError
from app.library import safetensors
from app.library.gguf_file import MAX_NAME, GgufHeader, model_name, part_path, read_header, split_name
from app.library.gguf_reader import printable
from app.library.manifest import FileOrigin, origin_of
from app.library.provenance import alteration
from app.system import paths as app_paths
from app.system.paths import Paths

MAX_DEPTH = 8
MAX_FOLDERS = 20_000
MAX_CACHED = 10_000
DELETED_SUFFIX = ".gguf.deleted"


class KnownPlaces(Protocol):
    """What is read of the settings: folders and single files of the user's own."""

    @property
    def model_folders(self) -> tuple[str, ...]:
        """Folders in which models are looked for, beside Bantam's own."""

    @property
    def model_files(self) -> tuple[str, ...]:
        """Files in other places."""


Places = TypeVar("Places", bound=KnownPlaces)


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
    hint: str = ""
    """What to do about the problem."""
    origin: FileOrigin | None = None
    """Where it came from, where a manifest says so."""
    is_folder: bool = False
    """A Hugging Face folder of safetensors: the source of models that can be loaded, not one of them."""
    facts: safetensors.FolderFacts | None = None
    """The facts of a folder: what stands in the place of the header."""

    @property
    def can_load(self) -> bool:
        """Whether the engine may be given this file."""
        return self.header is not None and not self.problem

    @property
    def can_quantize(self) -> bool:
        """Whether a smaller model can be made of it without rounding what was rounded already."""
        if self.is_folder:
            return self.facts is None or not self.facts.prequantized
        return self.can_load and self.header is not None and self.header.is_unquantized

    @property
    def parent(self) -> Path | None:
        """What it was made of here, a file or folder that may be gone; None where that is not known."""
        if self.origin is None or not self.origin.parent:
            return None
        folder = self.path if self.is_folder else self.path.parent
        return Path(os.path.normpath(folder / self.origin.parent))

    @property
    def is_altered(self) -> bool:
        """Whether it was pruned or trained here: another model than what it was made of, not only a rounded one."""
        return self.parent is not None and (self.is_folder or (self.origin is not None and self.origin.altered))

    @property
    def alteration(self) -> str:
        """What was done to a folder that was made here: "pruned and recovered"; "" of an
        original.
        """
        return alteration(self.origin.steps) if self.is_folder and self.origin is not None and self.is_altered else ""

    @property
    def note(self) -> str:
        """What a folder is and is good for, to the user; "" of a file."""
        what = f"{self.alteration.capitalize()} here" if self.alteration else "The original"
        return f"{what}, in Hugging Face's format. Make a smaller model of it to chat with." if self.is_folder else ""

    @property
    def can_delete(self) -> bool:
        """Only what lies in Bantam's own models folder; everything else is only taken off the list."""
        return self.source is ModelSource.MODELS_FOLDER


@dataclass(frozen=True, slots=True)
class Deletion:
    """A model put aside. `undo` brings it back, `purge` removes it for good."""

    entry: ModelEntry
    moved: tuple[tuple[Path, Path], ...]
    """(where it was, where it is now) for each file."""

    def undo(self) -> None:
        """Put the files back. Raises StorageError, also where another file has taken the place."""
        for was, now in self.moved:
            if was.exists():
                raise StorageError(f"“{was.name}” cannot be brought back: another file has its name now.")
            _rename(now, was, f"“{was.name}” could not be brought back")

    def purge(self) -> None:
        """Remove the files for good. Raises StorageError."""
        for was, now in self.moved:
            try:
                now.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"“{was.name}” could not be deleted: {error.strerror or error}.") from error


def scan(paths: Paths, settings: KnownPlaces) -> tuple[ModelEntry, ...]:
    """Every model of the starter, the models folder, the extra folders and the single files, by name; each file once.

    Never raises for what it finds: an unreadable file or folder is an entry with a `problem`.
    """
    entries: dict[Path, ModelEntry] = {}
    for path, source in _found(paths, settings):
        key = _identity(path)
        if key not in entries:
            entries[key] = _away(path) if source is ModelSource.AWAY else _entry(path, source)
    return tuple(sorted(entries.values(), key=lambda entry: (entry.name.casefold(), str(entry.path))))


def delete(entry: ModelEntry) -> Deletion:
    """Put a model of the models folder aside, to be undone or purged. Raises StorageError, also for other sources."""
    if not entry.can_delete:
        raise StorageError(
            f"“{entry.name}” lies outside Bantam's models folder and is not Bantam's to delete.",
            "It can be taken off the list, or deleted with the file manager.",
        )
    moved: list[tuple[Path, Path]] = []
    for part in entry.parts or (entry.path,):
        aside = _free_name(part)
        try:
            _rename(part, aside, f"“{part.name}” could not be deleted")
        except StorageError:
            Deletion(entry, tuple(moved)).undo()
            raise
        moved.append((part, aside))
    return Deletion(entry, tuple(moved))


def purge_deleted(paths: Paths) -> int:
    """Remove for good what was deleted and never brought back, in an earlier run. Returns how many files."""
    removed = 0
    for path in _walk(paths.models, DELETED_SUFFIX):
        with contextlib.suppress(OSError):  # it is tried again at the next start
            path.unlink()
            removed += 1
    return removed


def without(entry: ModelEntry, settings: Places) -> Places:
    """The settings without the single file or extra folder this entry comes from: how it is taken off the list."""
    files, folders = settings.model_files, settings.model_folders
    if entry.source is not ModelSource.EXTRA_FOLDER:
        paths = {_identity(path) for path in (entry.path, *entry.parts)}
        files = tuple(name for name in files if _identity(_path(name)) not in paths)
    if entry.source is not ModelSource.SINGLE_FILE:
        folders = tuple(name for name in folders if not _identity(entry.path).is_relative_to(_identity(_path(name))))
    return _replaced(settings, model_files=files, model_folders=folders)


def including(made: Path, paths: Paths, settings: Places) -> Places:
    """The settings with which `scan` finds this file or folder too: as they are where it lies in a known place.

    What is made of a folder that was added lies beside it, where nobody looks; what is opened lies anywhere.
    """
    there = _identity(made)
    folders = (paths.models, *map(_path, settings.model_folders))
    if any(there.is_relative_to(_identity(folder)) for folder in folders):
        return settings
    if made.is_dir():
        return _replaced(settings, model_folders=(*settings.model_folders, str(made)))
    if there in {_identity(_path(name)) for name in settings.model_files}:
        return settings
    return _replaced(settings, model_files=(*settings.model_files, str(made)))


def _replaced(settings: Places, **values: tuple[str, ...]) -> Places:
    """The same settings with other places: `settings` is a dataclass, which a protocol cannot say."""
    return cast(Places, dataclasses.replace(cast(Any, settings), **values))


def _found(paths: Paths, settings: KnownPlaces) -> Iterator[tuple[Path, ModelSource]]:
    """Candidates in the order in which they win where a file is found in two ways."""
    starter = app_paths.STARTER_MODEL
    if starter.is_file():
        yield starter, ModelSource.STARTER
    yield from ((path, ModelSource.MODELS_FOLDER) for path in _models_in(paths.models))
    for folder in map(_path, settings.model_folders):
        if _can_list(folder):
            yield from ((path, ModelSource.EXTRA_FOLDER) for path in _models_in(folder))
        else:
            yield folder, ModelSource.AWAY
    for file in map(_path, settings.model_files):
        yield file, ModelSource.SINGLE_FILE if _is_there(file) else ModelSource.AWAY


def _models_in(folder: Path) -> Iterator[Path]:
    """The models below a folder: folders of safetensors, files, of a split model the first part that is there."""
    yield from sorted(path.parent for path in _walk(folder, "config.json") if safetensors.is_model(path))
    split_models: set[tuple[Path, str, int]] = set()
    for path in sorted(_walk(folder, ".gguf")):
        name = split_name(path.name)
        if name is not None:
            model = (path.parent, name[0], name[2])
            if model in split_models:
                continue
            split_models.add(model)
        yield path


def _walk(folder: Path, suffix: str) -> Iterator[Path]:
    """Files with this suffix, MAX_DEPTH folders deep. A folder is entered once, so that links may form a ring."""
    seen: set[Path] = set()
    waiting = [(folder, 0)]
    while waiting and len(seen) < MAX_FOLDERS:
        here, depth = waiting.pop()
        if _identity(here) in seen:
            continue
        seen.add(_identity(here))
        try:
            with os.scandir(here) as found:
                children = list(found)
        except OSError:
            continue
        for child in children:
            try:
                is_folder = child.is_dir()
            except OSError:
                continue
            if is_folder and depth < MAX_DEPTH and not child.name.startswith("."):
                waiting.append((Path(child.path), depth + 1))
            elif not is_folder and child.name.lower().endswith(suffix):
                yield Path(child.path)


def _entry(path: Path, source: ModelSource) -> ModelEntry:
    if path.is_dir():
        return _folder_entry(path, source)
    parts = _parts(path)
    path = parts[0]
    size_bytes = sum(_size_and_time(part)[0] for part in parts)
    try:
        header = _cached_header(parts)
    except ModelFileError as error:
        return ModelEntry(path, model_name(path, ""), size_bytes, None, error.sentence, source, parts, error.hint)
    name, origin = model_name(path, header.name), origin_of(path)
    return ModelEntry(path, name, size_bytes, header, header.chat_problem, source, parts, origin=origin)


def _folder_entry(path: Path, source: ModelSource) -> ModelEntry:
    parts = safetensors.weight_files(path)
    size_bytes = sum(_size_and_time(part)[0] for part in parts)
    name, origin = printable(path.name, MAX_NAME), origin_of(parts[0]) if parts else None
    facts = safetensors.facts_of(path)
    return ModelEntry(path, name, size_bytes, None, "", source, parts, origin=origin, is_folder=True, facts=facts)


def _parts(path: Path) -> tuple[Path, ...]:
    """The files of a model that are there, of a split one all parts, of which the first may be missing."""
    name = split_name(path.name)
    if name is None:
        return (path,)
    wanted = (part_path(path, number) for number in range(1, name[2] + 1))
    return tuple(part for part in wanted if part.is_file()) or (path,)


_headers: dict[tuple[tuple[str, int, int], ...], GgufHeader | ModelFileError] = {}


def _cached_header(parts: tuple[Path, ...]) -> GgufHeader:
    """The header of a model, read again only when a part of it changed in size or time. Raises ModelFileError."""
    key = tuple((str(part), *_size_and_time(part)) for part in parts)
    if key not in _headers:
        if len(_headers) >= MAX_CACHED:
            _headers.clear()
        try:
            _headers[key] = read_header(_first_part(parts[0]))
        except ModelFileError as error:
            _headers[key] = error
    found = _headers[key]
    if isinstance(found, ModelFileError):
        raise ModelFileError(found.sentence, found.hint)
    return found


def _first_part(path: Path) -> Path:
    """Part 1 of a split model, of which `path` is the first that is there. Raises ModelFileError where it is not 1."""
    first = part_path(path, 1)
    if split_name(path.name) and not first.is_file():
        raise ModelFileError(
            f"The first part of the model is missing: “{first.name}”.", "Download all parts into one folder."
        )
    return first


def _away(path: Path) -> ModelEntry:
    sentence = (
        "It may not be read." if _is_there(path) else "It is not there now: a drive is not connected, or it was moved."
    )
    hint = "It stays in the list and can be used again when it is back."
    return ModelEntry(path, printable(path.name, MAX_NAME), 0, None, sentence, ModelSource.AWAY, (), hint)


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _can_list(folder: Path) -> bool:
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _identity(path: Path) -> Path:
    """One path for a file, however it is reached."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _free_name(path: Path) -> Path:
    """A name beside `path` to put it aside under, other than that of one put aside before."""
    names = (path.with_name(f"{path.stem}{n}{DELETED_SUFFIX}") for n in ("", *(f".{n}" for n in range(2, 1000))))
    return next(name for name in names if not name.exists())


def _rename(source: Path, target: Path, doing: str) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise StorageError(f"{doing}: {error.strerror or error}.", "Unload the model first if it is in use.") from error
