from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.errors import Cancelled, StorageError
from app.library.manifest import NAME, FileOrigin, Manifest, origin_of, read_manifest, write_manifest
from app.library.messages import FileCheck, VerifyModel
from app.library.provenance import (
    FfnCut,
    KvGroupCut,
    LayerCut,
    OpaqueStep,
    Quantization,
    Recovery,
    Sparsity,
)
from app.library.verify import verify
from app.operation import Context
from app.system.paths import STARTER_MODEL

STARTER = STARTER_MODEL.read_bytes()
ORIGIN = FileOrigin(hashlib.sha256(STARTER).hexdigest(), len(STARTER), "a/b", "c" * 40)


def check(path: Path, stop=lambda: False):
    return verify(VerifyModel(path), Context(stop=stop))


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest().with_file("x.gguf", ORIGIN).with_file("sub/y.gguf", ORIGIN)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert read_manifest(tmp_path).without("x.gguf").files.keys() == {"sub/y.gguf"}
    assert origin_of(tmp_path / "sub" / "y.gguf") == ORIGIN
    assert origin_of(tmp_path / "z.gguf") is None


MADE = FileOrigin(
    "a" * 64, 7, date="2026-11-24T10:00:00+00:00", parent="../whole", digest="0123456789ab",
    steps=(
        Sparsity("wanda", 0.5, "2:4"), FfnCut(768, (256, 512), gate_and_up=True), KvGroupCut(4, (2,), refitted=False),
        LayerCut(6, (3, 4)), Recovery("lora", 80_000, "mine.txt", False, 0.1, "Q4_0", 0.4, 0.2),
        OpaqueStep("something", altered=True), Quantization("Q4_K_M", True, True, (("ffn", "Q8_0"),), "Q8_0", "F16"),
    ),
)  # fmt: skip


def test_how_a_file_was_made_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest({"m.gguf": MADE}))
    assert read_manifest(tmp_path) == Manifest({"m.gguf": MADE})


def old_row(name: str, **values: object) -> FileOrigin:
    """A row of a manifest of version 1, as it is read."""
    row = {"sha256": "a" * 64, "size_bytes": 7, "parent": ".", "altered": False, "steps": "", **values}
    (folder := Path("old")).mkdir(exist_ok=True)
    (folder / NAME).write_text(json.dumps({"version": 1, "files": {name: row}}))
    return read_manifest(folder).files[name]


def test_of_a_manifest_of_version_1_the_words_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = old_row("m.gguf", recipe="Q4_K_M; output=Q8_0")
    assert (plain.recipe, plain.altered, plain.digest) == ("Q4_K_M; output=Q8_0", False, "")
    cut = old_row("m.gguf", recipe="FFN 768 to 512; Q4_K_M", altered=True)
    assert (cut.recipe, cut.altered) == ("FFN 768 to 512; Q4_K_M", True)
    folder = old_row("model.safetensors", recipe="FFN 768 to 512", steps="0123456789ab")
    assert (folder.recipe, folder.altered, folder.digest) == ("FFN 768 to 512", True, "0123456789ab")
    downloaded = old_row("m.gguf", repository="a/b", recipe="", parent="")
    assert (downloaded.steps, downloaded.altered) == ((), False)
    write_manifest(Path("old"), read_manifest(Path("old")).with_file("new.gguf", folder))
    assert read_manifest(Path("old")).files == {"m.gguf": downloaded, "new.gguf": folder}


def test_a_step_of_a_later_version_is_known_by_its_name(tmp_path: Path) -> None:
    row = {"sha256": "a" * 64, "size_bytes": 7, "steps": [{"step": "folded", "by": 2}]}
    (tmp_path / NAME).write_text(json.dumps({"version": 3, "files": {"m.gguf": row}}))
    assert read_manifest(tmp_path).files["m.gguf"].steps == (OpaqueStep("folded"),)


@pytest.mark.parametrize(
    "step",
    [3, {}, {"step": []}, {"step": "ffn"}, {"step": "ffn", "before": 768, "widths": []},
     {"step": "recovery", "method": "lora", "tokens": "many"}, {"step": "sparsity", "method": "wanda", "amount": "x"},
     {"step": "quantization", "type": "Q4_0", "overrides": ["ab", 3]}, {"step": "words", "words": 3}],
)  # fmt: skip
def test_a_manifest_with_a_damaged_step_is_an_empty_one(tmp_path: Path, step: object) -> None:
    row = {"sha256": "a" * 64, "size_bytes": 7, "steps": [step]}
    (tmp_path / NAME).write_text(json.dumps({"version": 2, "files": {"m.gguf": row}}))
    assert read_manifest(tmp_path) == Manifest()


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
