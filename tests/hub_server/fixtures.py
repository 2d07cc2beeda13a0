"""pytest fixtures: a hub on an empty folder, and a repository with the starter model in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.system.paths import STARTER_MODEL
from tests.hub_server import HubServer


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A running hub; put repositories into `hub.folder`."""
    folder = tmp_path / "hub"
    folder.mkdir()
    with HubServer(folder) as server:
        yield server


@pytest.fixture
def starter_repository(hub: HubServer) -> str:
    """A repository on `hub` that holds the starter model and a card."""
    place = hub.folder / "bantam" / "stdlib-21m-GGUF"
    place.mkdir(parents=True)
    shutil.copy(STARTER_MODEL, place / STARTER_MODEL.name)
    (place / "README.md").write_text("---\nlicense: mit\n---\n# A small model\n\nAnswers questions about Python.\n")
    (place / ".hub.json").write_text('{"license": "mit", "downloads": 12, "likes": 3}')
    return "bantam/stdlib-21m-GGUF"
