"""The models on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import StorageError
from app.library import library
from app.library.gguf_file import GgufHeader, read_header
from app.library.library import ModelEntry, ModelSource, delete, including, purge_deleted, scan, without
from app.settings import Settings
from app.system.paths import Paths

MakeModel = Callable[..., Path]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A data folder without a starter model."""
    monkeypatch.setattr("app.system.paths.STARTER_MODEL", tmp_path / "no-starter.gguf")
    return Paths(tmp_path / "home").ensure()


def names(entries: tuple[ModelEntry, ...]) -> list[tuple[str, ModelSource]]:
    return [(entry.name, entry.source) for entry in entries]


def test_an_empty_library_is_empty(paths: Paths) -> None:
    assert scan(paths, Settings()) == ()


def test_the_starter_model_is_listed_by_its_own_name(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (entry,) = scan(paths, Settings())
    assert entry.source is ModelSource.STARTER
    assert entry.name.startswith("Standard library")
    assert entry.can_load
    assert not entry.can_delete


def test_models_of_all_places_are_listed_by_name_and_once(paths: Paths, tmp_path: Path, make_model: MakeModel) -> None:
    make_model(paths.models / "owner" / "b" / "Beta.gguf")
    extra, single = tmp_path / "extra", tmp_path / "single" / "gamma.gguf"
    make_model(extra / "deep" / "er" / "alpha.gguf")
    make_model(single)
    settings = Settings(
        model_folders=(str(extra), str(extra / "deep")),
        model_files=(str(single), str(single), str(extra / "deep/er/alpha.gguf")),
    )
    entries = scan(paths, settings)
    assert names(entries) == [
        ("alpha", ModelSource.EXTRA_FOLDER),
        ("Beta", ModelSource.MODELS_FOLDER),
        ("gamma", ModelSource.SINGLE_FILE),
    ]
    assert all(entry.can_load and entry.header and entry.size_bytes for entry in entries)


def test_partial_downloads_and_other_files_are_not_listed(paths: Paths, make_model: MakeModel) -> None:
    for name in ("a.gguf.part", "readme.txt", ".hidden/x.gguf"):
        path = paths.models / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    make_model(paths.models / "A.GGUF")
    assert [entry.name for entry in scan(paths, Settings())] == ["A"]


def test_what_is_wrong_with_a_file_stands_in_its_entry(paths: Paths, make_model: MakeModel) -> None:
    (paths.models / "notes.gguf").write_text("Dear diary,")
    make_model(paths.models / "embedder.gguf", "bert")
    embedder, notes = scan(paths, Settings())
    assert "text file" in notes.problem
    assert notes.hint
    assert not notes.can_load
    assert notes.can_delete
    assert embedder.header is not None
    assert "embedding" in embedder.problem
    assert not embedder.can_load


def test_names_are_plain_text(paths: Paths) -> None:
    (paths.models / "evil\x1b[2J\u202e.gguf").write_bytes(b"x")
    assert scan(paths, Settings())[0].name.isprintable()


def test_what_is_away_stays_in_the_list(paths: Paths, tmp_path: Path, make_model: MakeModel) -> None:
    drive, file = tmp_path / "drive", tmp_path / "one.gguf"
    make_model(drive / "a.gguf")
    make_model(file)
    settings = Settings(model_folders=(str(drive),), model_files=(str(file),))
    assert {entry.source for entry in scan(paths, settings)} == {ModelSource.EXTRA_FOLDER, ModelSource.SINGLE_FILE}
    drive.rename(tmp_path / "unplugged")
    file.unlink()
    away = scan(paths, settings)
    assert [(entry.path, entry.source, entry.can_load) for entry in away] == [
        (drive, ModelSource.AWAY, False),
        (file, ModelSource.AWAY, False),
    ]
    assert "drive is not connected" in away[0].problem
    (tmp_path / "unplugged").rename(drive)
    assert (drive / "a.gguf") in {entry.path for entry in scan(paths, settings)}


def test_a_folder_that_is_a_file_is_away(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (entry,) = scan(paths, Settings(model_folders=(str(tmp_path / "file"),)))
    assert "may not be read" in entry.problem


def test_links_in_a_ring_are_walked_once(paths: Paths, make_model: MakeModel) -> None:
    make_model(paths.models / "a" / "m.gguf")
    (paths.models / "a" / "ring").symlink_to(paths.models, target_is_directory=True)
    (paths.models / "self.gguf").symlink_to(paths.models / "self.gguf")
    (paths.models / "again.gguf").symlink_to(paths.models / "a" / "m.gguf")
    entries = scan(paths, Settings())
    assert len([entry for entry in entries if entry.can_load]) == 1
    assert len(entries) <= 2


def test_folders_are_walked_to_a_bound(paths: Paths, make_model: MakeModel) -> None:
    deep = paths.models.joinpath(*"abcdefghijkl")
    make_model(deep / "deep.gguf")
    make_model(paths.models / "a" / "b" / "near.gguf")
    assert [entry.name for entry in scan(paths, Settings())] == ["near"]


def test_a_split_model_is_one_entry(paths: Paths) -> None:
    for number in (1, 2, 3):
        (paths.models / f"big-{number:05d}-of-00003.gguf").write_bytes(b"x" * number)
    (entry,) = scan(paths, Settings())
    assert (entry.name, entry.size_bytes, len(entry.parts)) == ("big", 6, 3)
    assert entry.path.name == "big-00001-of-00003.gguf"


def test_a_split_model_without_its_first_part_says_so(paths: Paths) -> None:
    (paths.models / "big-00002-of-00003.gguf").write_bytes(b"x")
    (entry,) = scan(paths, Settings())
    assert "big-00001-of-00003.gguf" in entry.problem


def test_headers_are_read_again_only_for_changed_files(
    paths: Paths, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_model(paths.models / "a.gguf")
    (paths.models / "bad.gguf").write_bytes(b"x")
    read: list[str] = []

    def counted(path: Path) -> GgufHeader:
        read.append(path.name)
        return read_header(path)

    monkeypatch.setattr(library, "read_header", counted)
    first, second = scan(paths, Settings()), scan(paths, Settings())
    assert first == second
    assert sorted(read) == ["a.gguf", "bad.gguf"]
    make_model(path, name="Changed", values={"block_count": 3})
    os.utime(path, ns=(1, 1))
    entry = next(entry for entry in scan(paths, Settings()) if entry.name == "a")
    assert entry.header is not None
    assert entry.header.layers == 3


def test_deleting_is_undone_or_made_good(paths: Paths, make_model: MakeModel) -> None:
    path = make_model(paths.models / "a.gguf")
    data = path.read_bytes()
    deletion = delete(scan(paths, Settings())[0])
    assert not path.exists()
    assert scan(paths, Settings()) == ()
    deletion.undo()
    assert path.read_bytes() == data
    delete(scan(paths, Settings())[0]).purge()
    assert list(paths.models.iterdir()) == []


def test_all_parts_of_a_split_model_are_deleted_and_come_back(paths: Paths) -> None:
    for number in (1, 2):
        (paths.models / f"big-{number:05d}-of-00002.gguf").write_bytes(b"x")
    deletion = delete(scan(paths, Settings())[0])
    assert scan(paths, Settings()) == ()
    deletion.undo()
    assert len(scan(paths, Settings())[0].parts) == 2


def test_a_second_model_of_the_name_does_not_overwrite_the_deleted(paths: Paths, make_model: MakeModel) -> None:
    path = make_model(paths.models / "a.gguf", name="first")
    first = delete(scan(paths, Settings())[0])
    make_model(path, name="second")
    delete(scan(paths, Settings())[0])
    first.undo()
    assert read_header(path).name == "first"


def test_undo_does_not_overwrite(paths: Paths, make_model: MakeModel) -> None:
    path = make_model(paths.models / "a.gguf")
    deletion = delete(scan(paths, Settings())[0])
    path.write_bytes(b"new")
    with pytest.raises(StorageError, match="another file"):
        deletion.undo()
    assert path.read_bytes() == b"new"


def test_only_the_models_folder_is_bantams_to_delete(paths: Paths, tmp_path: Path, make_model: MakeModel) -> None:
    path = make_model(tmp_path / "mine.gguf")
    (entry,) = scan(paths, Settings(model_files=(str(path),)))
    with pytest.raises(StorageError, match="not Bantam's to delete"):
        delete(entry)
    assert path.exists()


def test_what_was_deleted_in_an_earlier_run_is_purged(paths: Paths, make_model: MakeModel) -> None:
    make_model(paths.models / "x" / "a.gguf")
    kept = make_model(paths.models / "x" / "b.gguf")
    delete(scan(paths, Settings())[0])
    assert purge_deleted(paths) == 1
    assert list(kept.parent.iterdir()) == [kept]


def test_taking_off_the_list(paths: Paths, tmp_path: Path, make_model: MakeModel) -> None:
    folder = tmp_path / "extra"
    inside, single = make_model(folder / "in.gguf"), make_model(tmp_path / "one.gguf")
    settings = Settings(model_folders=(str(folder),), model_files=(str(single), "/nowhere/b.gguf"))
    by_name = {entry.name: entry for entry in scan(paths, settings)}
    assert without(by_name["one"], settings).model_files == ("/nowhere/b.gguf",)
    assert without(by_name["one"], settings).model_folders == (str(folder),)
    assert without(by_name["b.gguf"], settings).model_files == (str(single),)
    assert without(by_name["in"], settings).model_folders == ()
    assert inside.exists()


def test_what_is_made_outside_of_every_known_place_is_looked_for(
    paths: Paths, tmp_path: Path, make_model: MakeModel
) -> None:
    added = Settings(model_folders=(str(tmp_path / "model"),))
    file, beside = make_model(tmp_path / "model-q4" / "a.gguf"), make_model(tmp_path / "b.gguf")
    assert scan(paths, added)[1:] == (), "they are in no folder that is known"
    found = including(beside, paths, including(file.parent, paths, added))
    assert {entry.path for entry in scan(paths, found)} >= {file, beside}


def test_what_lies_in_a_known_place_needs_no_setting(paths: Paths, tmp_path: Path, make_model: MakeModel) -> None:
    own, extra = make_model(paths.models / "a" / "a.gguf"), make_model(tmp_path / "extra" / "deep" / "b.gguf")
    single = make_model(tmp_path / "single" / "c.gguf")
    settings = Settings(model_folders=(str(tmp_path / "extra"),), model_files=(str(single),))
    for made in (own, own.parent, extra, extra.parent, single):
        assert including(made, paths, settings) == settings
