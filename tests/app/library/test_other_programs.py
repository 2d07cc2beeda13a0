from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.library.library import ModelSource, scan
from app.library.other_programs import find_models
from app.settings import Settings
from app.system.paths import STARTER_MODEL, Paths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    blob = home / ".cache/huggingface/hub/models--a--b/blobs/abc"
    snapshot = home / ".cache/huggingface/hub/models--a--b/snapshots/c0ffee/m-Q4_0.gguf"
    for path in (blob, snapshot):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"x" * 10)
    snapshot.symlink_to(blob)
    studio = [f".lmstudio/models/a/{n}.gguf" for n in ("b/m", "b/mmproj-m", "c/s-00001-of-00002", "c/s-00002-of-00002")]
    for name in (*studio, "jan/models/m/model.gguf"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"y" * 20)
    return home


def ollama(home: Path, digest: str = "sha256:1234") -> Path:
    models = home / ".ollama" / "models"
    manifest = models / "manifests" / "registry.ollama.ai" / "library" / "starter" / "latest"
    manifest.parent.mkdir(parents=True)
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest}, {"mediaType": "x", "digest": "y"}]
    manifest.write_text(json.dumps({"layers": layers}))
    (manifest.parent / "broken").write_text("{")
    blob = models / "blobs" / "sha256-1234"
    blob.parent.mkdir()
    shutil.copy(STARTER_MODEL, blob)
    return blob


def test_the_usual_folders_are_looked_into(home: Path) -> None:
    ollama(home)
    found = {(model.program, model.path.name) for model in find_models({}, home)}
    assert found == {
        ("the Hugging Face cache", "m-Q4_0.gguf"),
        ("LM Studio", "m.gguf"),
        ("LM Studio", "s-00001-of-00002.gguf"),
        ("Jan", "model.gguf"),
        ("Ollama", "sha256-1234"),
    }


def test_variables_move_the_folders(home: Path, tmp_path: Path) -> None:
    elsewhere = {"HF_HOME": str(home / ".cache" / "huggingface")}
    assert [model.path.name for model in find_models(elsewhere, tmp_path / "nobody")] == ["m-Q4_0.gguf"]
    assert find_models({}, tmp_path / "nobody") == ()


def test_a_manifest_that_points_elsewhere_is_not_followed(home: Path) -> None:
    ollama(home, "../../../../etc/passwd")
    assert not [model for model in find_models({}, home) if model.program == "Ollama"]


def test_ollamas_blob_is_a_model_in_the_list_under_its_own_name(home: Path, bantam_home: Path) -> None:
    blob = ollama(home)
    entries = scan(Paths(bantam_home).ensure(), Settings(model_files=(str(blob),)))
    entry = next(entry for entry in entries if entry.path == blob)
    assert (entry.source, entry.problem) == (ModelSource.SINGLE_FILE, "")
    assert "sha256" not in entry.name
