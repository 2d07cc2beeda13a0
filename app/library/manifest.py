"""manifest.json beside a model's files: where each came from, at which revision, and what its bytes are."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import StorageError
from app.library.safetensors import weight_files
from app.system.files import read_json, write_atomic

NAME = "manifest.json"
_VERSION = 1
_FOLDERS_UP = 3
"""A file may lie in folders of its own below the model's folder, as it does in its repository."""


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """What is known of one file. One made here has no `repository`: `parent` and `recipe` say from what and how.

    `parent` is relative to the folder that the manifest is in.
    """

    sha256: str
    size_bytes: int
    repository: str = ""
    revision: str = ""
    endpoint: str = ""
    date: str = ""
    """ISO 8601, when it was finished."""
    parent: str = ""
    recipe: str = ""
    altered: bool = False
    """Pruned or trained: it is not the parent's weights, rounded, but other ones."""
    steps: str = ""
    """Of a model that a recipe made: a digest of all that was done, by which the same recipe finds it again."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a folder by their path below it, with slashes."""

    files: dict[str, FileOrigin] = field(default_factory=dict)

    def with_file(self, name: str, origin: FileOrigin) -> Manifest:
        """The manifest with this file added or replaced."""
        return Manifest({**self.files, name: origin})

    def without(self, name: str) -> Manifest:
        """The manifest without this file."""
        return Manifest({key: origin for key, origin in self.files.items() if key != name})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; empty where there is none, or none that can be read."""
    try:
        data = read_json(folder / NAME)
        return Manifest({str(name): _origin(value) for name, value in data["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest. Raises StorageError."""
    files = {name: dataclasses.asdict(origin) for name, origin in sorted(manifest.files.items())}
    data = json.dumps({"version": _VERSION, "files": files}, indent=2, ensure_ascii=False).encode()
    try:
        write_atomic(folder / NAME, data)
    except OSError as error:
        raise StorageError(f"The origin of the model could not be noted: {error.strerror or error}.") from error


def origin_of(path: Path) -> FileOrigin | None:
    """What a manifest says of this file; None where none does."""
    for folder in list(path.parents)[:_FOLDERS_UP]:
        if (folder / NAME).is_file():
            return read_manifest(folder).files.get(path.relative_to(folder).as_posix())
    return None


def _origin(value: Any) -> FileOrigin:
    known = {f.name for f in dataclasses.fields(FileOrigin)}
    origin = FileOrigin(**{name: part for name, part in value.items() if name in known})
    if not isinstance(origin.sha256, str) or not isinstance(origin.size_bytes, int):
        raise TypeError("not an origin")
    return origin


# What a model was made of, across all the steps that were taken here: the farthest source, and how, in words.


@dataclass(frozen=True, slots=True)
class Lineage:
    """Of a folder that was pruned or trained here: what it was made of and how. Of any other model: itself, and ""."""

    parent: Path
    recipe: str = ""

    @property
    def altered(self) -> bool:
        """Whether it is another model than its parent, and not only a rounded one."""
        return bool(self.recipe)

    def then(self, recipe: str) -> str:
        """How something is made that is made of it: all steps from the parent on."""
        return f"{self.recipe}; {recipe}" if self.recipe else recipe

    def parent_from(self, folder: Path) -> str:
        """The parent, for a manifest in `folder`: with it both can be moved together."""
        return Path(os.path.relpath(self.parent.resolve(), folder.resolve())).as_posix()


def alteration(recipe: str) -> str:
    """What a folder's recipe did to the weights: "pruned", "recovered" or "pruned and recovered"; "" without one."""
    steps = [words.startswith("recovered") for words in recipe.split("; ") if words]
    done = ("pruned" if False in steps else "", "recovered" if True in steps else "")
    return " and ".join(words for words in done if words)


def lineage_of(source: Path) -> Lineage:
    """What its manifest says. A GGUF file stands for itself: what is made of it is compared with it."""
    origin = folder_origin(source) if source.is_dir() else None
    if origin is None or not (origin.parent and origin.recipe):
        return Lineage(source)
    return Lineage(Path(os.path.normpath(source.resolve() / origin.parent)), origin.recipe)


def original_of(source: Path) -> Path:
    """What nothing was taken from yet: the parent of a folder that was pruned here, where that is still there."""
    parent = lineage_of(source).parent
    return parent if parent.exists() else source


def folder_origin(folder: Path) -> FileOrigin | None:
    """What a manifest says of a folder's weights: of the first file, which speaks for all."""
    files = weight_files(folder)
    return origin_of(files[0]) if files else None
