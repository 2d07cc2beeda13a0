"""Hugging Face folders in the list of models: sources of models, and no models to load."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.library.library import ModelEntry, delete, scan
from app.settings import Settings
from app.system.paths import Paths, default_paths
from tests.real_models import STDLIB_3M


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def folder(paths: Paths) -> Path:
    return Path(shutil.copytree(STDLIB_3M, paths.models / "me" / "stdlib"))


def entry_of(paths: Paths, path: Path) -> ModelEntry | None:
    return next((entry for entry in scan(paths, Settings()) if entry.path == path), None)


def test_it_is_listed_and_can_be_quantized_but_not_loaded(paths: Paths, folder: Path) -> None:
    entry = entry_of(paths, folder)
    assert entry is not None
    assert entry.is_folder
    assert entry.can_quantize
    assert not entry.can_load
    assert (entry.name, entry.problem) == ("stdlib", "")
    assert entry.size_bytes == (folder / "model.safetensors").stat().st_size


def test_weights_without_a_configuration_are_no_model(paths: Paths, folder: Path) -> None:
    (folder / "config.json").unlink()
    assert entry_of(paths, folder) is None


def test_a_configuration_without_weights_is_no_model(paths: Paths, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert entry_of(paths, folder) is None


def test_what_was_quantized_already_cannot_be_quantized_in_one_click(paths: Paths) -> None:
    starter = next(entry for entry in scan(paths, Settings()) if not entry.is_folder)
    assert starter.can_load
    assert not starter.can_quantize


def test_delete_takes_it_off_the_list_and_undo_brings_it_back(paths: Paths, folder: Path) -> None:
    entry = entry_of(paths, folder)
    assert entry is not None
    deletion = delete(entry)
    assert entry_of(paths, folder) is None
    deletion.undo()
    assert entry_of(paths, folder) == entry
