"""The end of a step that makes a folder: note what it was made of and how, and remove what only led to it."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
from collections.abc import Iterable
from pathlib import Path

from app.errors import ModelFileError
from app.library.lineage import folder_origin, lineage_of
from app.library.manifest import FileOrigin, read_manifest, write_manifest
from app.library.safetensors import weight_files
from app.library.verify import sha256_of
from app.recipe.messages import FinishModel


def finish_model(request: FinishModel) -> None:
    """May be done again at any time. Raises ModelFileError where the folder is not there, StorageError, OSError."""
    files = weight_files(request.model)
    if not files:
        raise ModelFileError(f"“{request.model.name}” is not there.", "Run the recipe again.")
    source = lineage_of(request.source)
    recipe = source.then(_words((*request.between, request.model), source.recipe))
    parent = source.parent_from(request.model)
    manifest = read_manifest(request.model)
    for file in files:
        known = _origin(request.model, file)
        made = dataclasses.replace(known, parent=parent, recipe=recipe, altered=True, steps=request.steps)
        manifest = manifest.with_file(file.name, made)
    write_manifest(request.model, manifest)
    for folder in request.between:
        shutil.rmtree(folder, ignore_errors=True)  # its name is hidden, and the same recipe removes it when run again


def _words(folders: Iterable[Path], before: str) -> str:
    """What each folder says of itself, one after the other; a folder may have taken up what came before it."""
    said = ""
    for folder in folders:
        origin = folder_origin(folder)
        own = (origin.recipe if origin is not None else "").removeprefix(f"{before}; " if before else "")
        if own and own != said:
            said = own if own.startswith(f"{said}; ") or not said else f"{said}; {own}"
    return said


def _origin(folder: Path, file: Path) -> FileOrigin:
    known = read_manifest(folder).files.get(file.name)
    if known is not None and known.size_bytes == file.stat().st_size:
        return known
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return FileOrigin(sha256_of(file, lambda _count: None), file.stat().st_size, date=now)
