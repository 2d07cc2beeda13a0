"""The local hub answers the real client as the real hub does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from app.system.paths import STARTER_MODEL
from tests.hub_server import HubServer

FILE = STARTER_MODEL.name


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


def test_the_real_client_searches_and_pages(tmp_path: Path) -> None:
    with HubServer(tmp_path, extra_repositories=120) as hub:
        api = HfApi(endpoint=hub.endpoint, token=False)
        found = list(api.list_models(search="instruct", filter="gguf", sort="downloads", limit=None))
        first = found[0].downloads
        by_author = list(api.list_models(author="author-3", limit=None))
    assert len(found) == 120
    assert first == 100_000
    assert {model.author for model in by_author} == {"author-3"}


def test_the_real_client_reads_a_repository(hub: HubServer, starter_repository: str) -> None:
    api = HfApi(endpoint=hub.endpoint, token=False)
    model = api.model_info(starter_repository, files_metadata=True)
    names = {sibling.rfilename: sibling for sibling in model.siblings or []}
    assert names[FILE].size == STARTER_MODEL.stat().st_size
    assert names[FILE].lfs is not None
    assert [file.path for file in api.list_repo_tree(starter_repository)] == [file.rfilename for file in model.siblings]
    assert [file.path for file in api.get_paths_info(starter_repository, ["README.md"])] == ["README.md"]
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("bantam/no-such")


def test_the_real_client_downloads(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    options = {"endpoint": hub.endpoint, "token": False, "cache_dir": tmp_path / "cache"}
    path = hf_hub_download(starter_repository, FILE, **options)
    assert Path(path).read_bytes() == STARTER_MODEL.read_bytes()
    assert [(record.server, record.status) for record in hub.requests] == [("hub", 302), ("cdn", 200)]


def test_a_gated_repository_needs_its_token(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    hub.gate(starter_repository, "hf_right")
    options = {"endpoint": hub.endpoint, "cache_dir": tmp_path / "cache"}
    with pytest.raises(GatedRepoError):
        hf_hub_download(starter_repository, FILE, token="hf_wrong", **options)
    assert hf_hub_download(starter_repository, FILE, token="hf_right", **options)
    assert HfApi(endpoint=hub.endpoint, token="hf_right").whoami()["name"] == "someone"


def test_another_content_is_another_commit(hub: HubServer, starter_repository: str) -> None:
    before = hub.repositories[starter_repository].commit
    hub.touch(starter_repository, "config.json", json.dumps({"a": 1}).encode())
    assert hub.repositories[starter_repository].commit != before
