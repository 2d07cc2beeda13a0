"""manifest.json beside a model's files: where each came from, at which revision, and what its bytes are."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import StorageError
from app.library import provenance
from app.library.provenance import OpaqueStep, ProvenanceStep, Steps, words_of
from app.library.safetensors import weight_files
from app.system.files import locked, read_json, write_atomic

NAME = "manifest.json"
_VERSION = 2
"""Version 1 kept how a file was made in words."""
_FOLDERS_UP = 3
"""A file may lie in folders of its own below the model's folder, as it does in its repository."""


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """What is known of one file. One made here has no `repository`: `parent` and `steps` say from what and how.

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
    steps: Steps = ()
    """What was done to the parent, from first to last."""
    digest: str = ""
    """A digest of all that was done to a model that a recipe made, by which the same recipe finds it again."""

    @property
    def recipe(self) -> str:
        """How it was made, in words; "" of a file that was downloaded."""
        return words_of(self.steps)

    @property
    def altered(self) -> bool:
        """Whether it was pruned or trained: it is not the parent's weights, rounded, but other ones."""
        return provenance.is_altered(self.steps)


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
        return Manifest({str(name): _origin(str(name), value) for name, value in data["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest()


def note_origin(folder: Path, name: str, origin: FileOrigin) -> None:
    """Add or replace one file's row, while nobody else changes the manifest. Raises StorageError."""
    try:
        with locked(folder / NAME):
            write_manifest(folder, read_manifest(folder).with_file(name, origin))
    except OSError as error:
        raise StorageError(f"The origin of the model could not be noted: {error.strerror or error}.") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest. Raises StorageError."""
    files = {name: _row(origin) for name, origin in sorted(manifest.files.items())}
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


_KINDS: dict[str, type[ProvenanceStep]] = {
    "sparsity": provenance.Sparsity,
    "ffn": provenance.FfnCut,
    "kv-groups": provenance.KvGroupCut,
    "layers": provenance.LayerCut,
    "recovery": provenance.Recovery,
    "quantization": provenance.Quantization,
    "words": OpaqueStep,
}
"""The names of the steps in the file."""
_NAMES = {kind: name for name, kind in _KINDS.items()}


def _row(origin: FileOrigin) -> dict[str, Any]:
    steps = [{"step": _NAMES[type(step)], **dataclasses.asdict(step)} for step in origin.steps]
    return dataclasses.asdict(origin) | {"steps": steps}


def _origin(name: str, value: Any) -> FileOrigin:
    row, steps = dict(value), value.get("steps", "")
    if isinstance(steps, list):
        row["steps"] = tuple(map(_step, steps))
    else:  # version 1 kept the digest under this name, and the words under "recipe"
        row |= {"digest": steps, "steps": _steps_in_words(name, row)}
    origin = FileOrigin(**_known(FileOrigin, row))
    if not isinstance(origin.sha256, str) or not isinstance(origin.size_bytes, int):
        raise TypeError("not an origin")
    return origin


def _step(value: Any) -> ProvenanceStep:
    """Raises KeyError, TypeError, ValueError for what is no step. One of a later version is known by its name alone."""
    if value["step"] not in _KINDS:
        return OpaqueStep(str(value["step"]))
    kind = _KINDS[value["step"]]
    step = kind(**_known(kind, {name: _tuples(part) for name, part in value.items()}))
    words_of((step,))  # whoever shows it need not expect anything of another type
    return step


def _steps_in_words(name: str, row: dict[str, Any]) -> Steps:
    """The steps of a row of version 1. A folder's weights were noted as made only where they were pruned or trained."""
    words = str(row.get("recipe", ""))
    altered = bool(row.get("altered", False)) or name.endswith(".safetensors")
    return (OpaqueStep(words, altered),) if words else ()


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# What a model was made of, across all the steps that were taken here: the farthest source, and how.


@dataclass(frozen=True, slots=True)
class Lineage:
    """The source of a folder that was pruned or trained here, and how it was made. Of any other model:
    itself, and ().
    """

    parent: Path
    steps: Steps = ()

    def then(self, step: ProvenanceStep) -> Steps:
        """How something is made that is made of it by this step: all steps from the parent on."""
        return (*self.steps, step)

    def parent_from(self, folder: Path) -> str:
        """The parent, for a manifest in `folder`: with it both can be moved together."""
        return Path(os.path.relpath(self.parent.resolve(), folder.resolve())).as_posix()


def lineage_of(source: Path) -> Lineage:
    """What its manifest says. A GGUF file stands for itself: what is made of it is compared with it."""
    origin = folder_origin(source) if source.is_dir() else None
    if origin is None or not (origin.parent and origin.steps):
        return Lineage(source)
    return Lineage(Path(os.path.normpath(source.resolve() / origin.parent)), origin.steps)


def original_of(source: Path) -> Path:
    """What nothing was taken from yet: the parent of a folder that was pruned here, where that is still there."""
    parent = lineage_of(source).parent
    return parent if parent.exists() else source


def folder_origin(folder: Path) -> FileOrigin | None:
    """What a manifest says of a folder's weights: of the first file, which speaks for all."""
    files = weight_files(folder)
    return origin_of(files[0]) if files else None
