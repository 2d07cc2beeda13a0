"""A data folder of an older or a newer Bantam: read as it is, and nothing of a newer one is lost."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from app import __version__
from app.chat.store import ChatStore
from app.engine import machine_record
from app.engine.machine_record import read_choice
from app.engine.messages import Role
from app.errors import StorageError
from app.fit.speed import read_speed_book
from app.measure.ledger import read_ledger, record
from app.measure.messages import Estimate, Quality
from app.settings import Settings, load_settings, save_settings
from app.system.data_folder import FORMAT, FolderMark, adopt, read_mark
from app.system.paths import Paths, default_paths

NEWER = {"theme": "dark", "target_ms_per_token": 90, "colours": {"accent": "red"}}


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


def leave_newer(paths: Paths) -> None:
    paths.folder_mark.write_text(json.dumps({"format": FORMAT + 1, "version": "9.9"}))
    paths.settings.write_text(json.dumps(NEWER))
    paths.ledger.write_text('{"version": 7, "rows": []}')


def test_a_new_folder_gets_its_mark(paths: Paths) -> None:
    assert adopt(paths) == ""
    assert read_mark(paths.folder_mark) == FolderMark(FORMAT, __version__)
    assert adopt(paths) == ""


def test_what_a_newer_version_wrote_is_kept_before_anything_is_written(paths: Paths) -> None:
    leave_newer(paths)
    sentence = adopt(paths)
    kept = paths.home / f"kept-format-{FORMAT + 1}"
    assert "Bantam 9.9" in sentence
    assert str(kept) in sentence
    save_settings(paths.settings, Settings())
    assert json.loads((kept / "settings.json").read_text()) == NEWER
    assert (kept / "ledger.json").read_text() == '{"version": 7, "rows": []}'
    assert read_mark(kept / "folder.json").version == "9.9"
    assert adopt(paths) == ""  # told once


def test_every_small_file_that_this_version_writes_is_kept(paths: Paths) -> None:
    leave_newer(paths)
    small = (paths.machine, paths.speed, paths.effort, paths.drafts, paths.window_state)
    for file in small:
        file.write_text('{"of": "a newer version"}')
    adopt(paths)
    kept = paths.home / f"kept-format-{FORMAT + 1}"
    assert {file.name for file in small} <= {file.name for file in kept.iterdir()}


def test_without_the_copy_nothing_is_changed(paths: Paths) -> None:
    leave_newer(paths)
    (paths.home / f"kept-format-{FORMAT + 1}").write_text("in the way")
    with pytest.raises(StorageError, match="newer Bantam"):
        adopt(paths)
    assert read_mark(paths.folder_mark).version == "9.9"
    assert json.loads(paths.settings.read_text()) == NEWER


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "x", "version": 1}', '{"format": 1e999, "version": ""}']
)
def test_a_damaged_mark_is_an_old_folder(paths: Paths, content: str) -> None:
    paths.folder_mark.write_text(content)
    assert adopt(paths) == ""
    assert read_mark(paths.folder_mark).version == __version__


def test_settings_keep_what_another_version_wrote(paths: Paths) -> None:
    paths.settings.write_text(json.dumps(NEWER))
    settings = load_settings(paths.settings)
    assert settings.target_ms_per_token == 90
    save_settings(paths.settings, settings)
    assert json.loads(paths.settings.read_text())["colours"] == {"accent": "red"}


def test_an_older_folder_is_read(paths: Paths) -> None:
    """The fields of the first version of each file, and nothing that was added since."""
    paths.settings.write_text('{"theme": "dark", "context_tokens": 2048, "gone_since": 1}')
    record_then = {
        "fingerprint": machine_record.machine_fingerprint(),
        "safe_mode_reason": "x",
        "verified": [],
        "threads": {},
    }
    paths.machine.write_text(json.dumps(record_then))
    paths.ledger.write_text('{"version": 1, "models": []}')
    paths.speed.write_text('{"speed": null, "answers": []}')
    paths.drafts.write_text('{"/a.gguf": {"draft": "/b.gguf"}}')
    assert adopt(paths) == ""
    assert load_settings(paths.settings) == Settings(theme=Settings().theme.DARK, context_tokens=2048)
    assert machine_record.needs_safe_mode(paths.machine)
    assert read_ledger(paths.ledger).models == ()
    assert read_speed_book(paths.speed).speed is None
    assert read_choice(paths.drafts, Path("/a.gguf")).draft == "/b.gguf"


def test_a_newer_ledger_is_kept_aside_when_a_measurement_is_added(paths: Paths, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x")
    paths.ledger.write_text('{"version": 2, "models": [], "notes": ["mine"]}')
    record(paths.ledger, Quality(model, None, "text", 512, 100, Estimate(9.0, 0.1)))  # type: ignore[arg-type]
    kept = paths.ledger.with_name("ledger.json.damaged")
    assert json.loads(kept.read_text())["notes"] == ["mine"]
    assert len(read_ledger(paths.ledger).models) == 1


def test_chats_of_a_newer_version_are_refused_and_left_alone(paths: Paths) -> None:
    with ChatStore(paths.chats) as store:
        conversation = store.create()
        store.add_user_message(conversation.id, None, "still here")
    with sqlite3.connect(paths.chats) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StorageError, match="newer Bantam"):
        ChatStore(paths.chats)
    with sqlite3.connect(paths.chats) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    with ChatStore(paths.chats) as store:
        assert store.get(conversation.id).path[0].role is Role.USER
