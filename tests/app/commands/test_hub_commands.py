"""`bantam fit`, `get` and `verify` as a person runs them, against the local hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.messages import MachineSpeed, TensorSpeed
from app.fit.judgement import MADE_TYPES
from app.fit.speed import SpeedBook, change_speed_book
from app.system.paths import STARTER_MODEL, Paths, default_paths
from tests.app.engine.drafts import draft_file
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub, starter_repository
from tests.real_models import STDLIB_3M

__all__ = ["hub", "starter_repository"]

SPEED = MachineSpeed((TensorSpeed("Q8_0", 20e9),), 10e9, 0.02, 2, "2026-01-01")


@pytest.fixture(autouse=True)
def measured(bantam_home: Path) -> None:
    """The speed is known, so that no command takes seconds to measure it."""
    change_speed_book(Paths(bantam_home).ensure().speed, lambda _book: SpeedBook(SPEED))


def bantam(hub: HubServer | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    endpoint = hub.endpoint if hub else "http://127.0.0.1:9"
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env=os.environ | {"HF_ENDPOINT": endpoint},
    )


def test_fit_of_a_file_shows_the_sum() -> None:
    done = bantam(None, "fit", str(STARTER_MODEL))
    assert done.returncode == 0, done.stderr
    assert "and should take about" in done.stdout
    assert "Needed in all" in done.stdout


def test_fit_of_a_repository_downloads_nothing(hub: HubServer, starter_repository: str) -> None:
    done = bantam(hub, "fit", starter_repository, "--context", "1024", "--kv-type", "q8_0", "--json")
    (model,) = json.loads(done.stdout)["models"]
    assert model["verdict"]["verdict"] == "fits"
    assert model["verdict"]["context_tokens"] == 1024
    assert model["ms_per_token"] > 0
    assert hub.bytes_sent < STARTER_MODEL.stat().st_size / 4
    assert not list(default_paths().models.rglob("*.gguf"))


def test_fit_of_original_weights_is_of_what_can_be_made(hub: HubServer) -> None:
    shutil.copytree(STDLIB_3M, hub.folder / "me" / "stdlib")
    models = json.loads(bantam(hub, "fit", "me/stdlib", "--json").stdout)["models"]
    assert [model["label"] for model in models] == [f"{kind} (made here)" for kind in MADE_TYPES]
    assert 0 < models[0]["size_bytes"] < models[1]["size_bytes"] < models[2]["size_bytes"]
    assert hub.bytes_sent < (STDLIB_3M / "model.safetensors").stat().st_size / 4


def test_fit_says_why_original_weights_cannot_be_converted(hub: HubServer) -> None:
    folder = Path(shutil.copytree(STDLIB_3M, hub.folder / "me" / "stdlib"))
    config = json.loads((folder / "config.json").read_text()) | {"quantization_config": {"quant_method": "awq"}}
    (folder / "config.json").write_text(json.dumps(config))
    done = bantam(hub, "fit", "me/stdlib")
    assert "cannot be converted. The model is quantized already (awq)" in done.stdout


def test_quantize_of_a_repository_says_before_the_download_that_it_cannot(hub: HubServer) -> None:
    folder = Path(shutil.copytree(STDLIB_3M, hub.folder / "me" / "stdlib"))
    made = bantam(hub, "quantize", "me/stdlib", "Q8_0")
    assert made.returncode == 0, made.stderr
    assert (default_paths().models / "me" / "stdlib" / "stdlib-Q8_0.gguf").is_file()
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["UnheardOfModel"]}
    other = Path(shutil.copytree(folder, hub.folder / "me" / "other"))
    (other / "config.json").write_text(json.dumps(config))
    refused = bantam(hub, "quantize", "me/other", "Q8_0")
    assert refused.returncode == 1
    assert "UnheardOf" in refused.stderr
    assert not (default_paths().models / "me" / "other").exists()


def test_get_then_verify(hub: HubServer, starter_repository: str) -> None:
    hub.add_fault(Fault.DROP, at=0.5, path="*.gguf")
    done = bantam(hub, "get", starter_repository)
    path = Path(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == STARTER_MODEL.read_bytes()
    assert bantam(hub, "verify", str(path)).stdout.startswith("Sound.")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    damaged = bantam(hub, "verify", str(path), "--json")
    assert (damaged.returncode, json.loads(damaged.stdout)["check"]) == (1, "damaged")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "nobody/nothing"), "does not have this"),
        (("fit", "nonsense"), "neither a file nor a repository"),
        (("fit", "/no/such/file.gguf"), "not there"),
        (("get", "nobody/nothing"), "does not have this"),
        (("get", "STARTER", "Q3_K_S"), "has no “Q3_K_S”"),
        (("verify", "/no/such/file.gguf"), "not there"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    hub: HubServer, starter_repository: str, arguments: tuple[str, ...], words: str
) -> None:
    done = bantam(hub, *(starter_repository if one == "STARTER" else one for one in arguments))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_is_one_sentence() -> None:
    done = bantam(None, "get", "a/b")
    assert done.returncode == 1
    assert "could not be reached" in done.stderr


def test_drafts_names_what_is_here_and_what_the_hub_has(hub: HubServer, starter_repository: str) -> None:
    arguments = ("drafts", str(STARTER_MODEL), "--hub")
    done = bantam(hub, *arguments)
    assert done.returncode == 0, done.stderr
    assert "no smaller model of its family" in done.stdout  # its only relative there is itself
    place = hub.folder / "a" / "stdlib-3M-GGUF"
    place.mkdir(parents=True)
    draft_file(place)
    assert "bantam get a/stdlib-3M-GGUF Q8_0" in bantam(hub, *arguments).stdout
    (suggestion,) = json.loads(bantam(hub, *arguments, "--json").stdout)["suggestions"]
    assert suggestion["repository"] == "a/stdlib-3M-GGUF"
    assert suggestion["problem"] == ""


def test_drafts_without_a_network_says_so_and_names_what_is_here() -> None:
    done = bantam(None, "drafts", str(STARTER_MODEL), "--hub")
    assert done.returncode == 0
    assert "The hub could not be asked: " in done.stderr
    assert "could not be reached" in done.stderr
    assert done.stdout == bantam(None, "drafts", str(STARTER_MODEL)).stdout
    assert "suggestions" not in json.loads(bantam(None, "drafts", str(STARTER_MODEL), "--json").stdout)
