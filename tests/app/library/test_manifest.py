from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.errors import Cancelled, StorageError
from app.library.manifest import NAME, FileOrigin, Manifest, origin_of, read_manifest, write_manifest
from app.library.messages import FileCheck, VerifyModel
from app.library.verify import verify
from app.system.paths import STARTER_MODEL

STARTER = STARTER_MODEL.read_bytes()
ORIGIN = FileOrigin(hashlib.sha256(STARTER).hexdigest(), len(STARTER), "a/b", "c" * 40)


def check(path: Path, stop=lambda: False):
    return verify(VerifyModel(path), lambda _event: None, stop)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest().with_file("x.gguf", ORIGIN).with_file("sub/y.gguf", ORIGIN)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert read_manifest(tmp_path).without("x.gguf").files.keys() == {"sub/y.gguf"}
    assert origin_of(tmp_path / "sub" / "y.gguf") == ORIGIN
    assert origin_of(tmp_path / "z.gguf") is None


@pytest.mark.parametrize(
    "content", ["", "[]", '{"files": 3}', '{"files": {"x": {"sha256": 1}}}', '{"files": {"x": 1}}']
)
def test_a_damaged_manifest_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert read_manifest(tmp_path) == Manifest()


@pytest.mark.parametrize(
    ("content", "known", "found"),
    [
        (STARTER, True, FileCheck.SOUND),
        (STARTER[:-1] + b"x", True, FileCheck.DAMAGED),
        (STARTER, False, FileCheck.UNKNOWN),
        (STARTER[:100_000], False, FileCheck.DAMAGED),
    ],
)
def test_verifying(tmp_path: Path, content: bytes, known: bool, found: FileCheck) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    if known:
        write_manifest(tmp_path, Manifest({"m.gguf": ORIGIN}))
    assert check(path).check is found


def test_the_starter_model_is_really_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = check(STARTER_MODEL)
    assert (found.check, found.sentence) == (FileCheck.SOUND, "Every byte is as it came with Bantam.")
    copy = tmp_path / STARTER_MODEL.name
    copy.write_bytes(STARTER[:-1] + bytes([STARTER[-1] ^ 1]))
    copy.with_name(NAME).write_bytes((STARTER_MODEL.parent / NAME).read_bytes())
    monkeypatch.setattr("app.system.paths.STARTER_MODEL", copy)
    found = check(copy)
    assert found.check is FileCheck.DAMAGED
    assert found.sentence.endswith("it is not what came with Bantam. Install Bantam again.")


def test_what_is_said_of_the_starter_model_is_what_its_manifest_says() -> None:
    origin = origin_of(STARTER_MODEL)
    assert origin is not None
    assert f"sha256 `{origin.sha256}`" in (STARTER_MODEL.parent / "ORIGIN.md").read_text("utf-8")
    assert origin.size_bytes == len(STARTER)


def test_verifying_can_be_stopped_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(STARTER)
    with pytest.raises(Cancelled):
        check(tmp_path / "m.gguf", lambda: True)
    with pytest.raises(StorageError, match="not there"):
        check(tmp_path / "n.gguf")
