"""A ready-made smaller model of the family for the memory of a pruned one, found by headers alone."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from app.errors import OfflineError
from app.fit.drafts import memory_beside
from app.hub.endpoint import Hub
from app.hub.smaller_siblings import SmallerSibling, smaller_sibling
from app.library.gguf_file import GgufHeader, read_header
from app.paths import STARTER_MODEL
from app.requests import KvType
from tests.app.engine.drafts import draft_file
from tests.hub_server import Fault, HubServer

NAME = "stdlib-40M-Instruct"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 million parameters."""
    return draft_file(tmp_path_factory.mktemp("small"))


def pruned() -> GgufHeader:
    """As large as the starter model."""
    return read_header(STARTER_MODEL)


def put(hub: HubServer, repository: str, source: Path, name: str = "m-Q8_0.gguf") -> None:
    place = hub.folder / repository
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place / name)


def found(hub: HubServer, folder: Path, header: GgufHeader | None = None) -> SmallerSibling | None:
    return smaller_sibling(Hub(hub.endpoint), NAME, header or pruned(), folder / "headers")


def test_the_largest_that_takes_no_more_memory(hub: HubServer, small: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", small)
    put(hub, "a/stdlib-21M-Instruct-GGUF", STARTER_MODEL)
    sibling = found(hub, tmp_path)
    assert sibling is not None
    assert (sibling.repository, sibling.label) == ("a/stdlib-21M-Instruct-GGUF", "Q8_0")
    assert sibling.memory_bytes == memory_beside(pruned(), 4096, KvType.F16)
    assert sibling.name == "stdlib-21M-Instruct-GGUF Q8_0"


def test_one_that_takes_more_is_passed_over(hub: HubServer, small: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", small)
    put(hub, "a/stdlib-21M-Instruct-GGUF", STARTER_MODEL)
    half = dataclasses.replace(pruned(), tensor_bytes=pruned().tensor_bytes // 2)
    sibling = found(hub, tmp_path, half)
    assert sibling is not None
    assert sibling.repository == "a/stdlib-3M-Instruct-GGUF"


def test_the_model_itself_other_families_and_few_bits_do_not_count(hub: HubServer, small: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-40M-Instruct-GGUF", small)
    put(hub, "a/novels-3M-Instruct-GGUF", small)
    put(hub, "a/stdlib-3M-Instruct-GGUF", small, "m-Q2_K.gguf")
    assert found(hub, tmp_path) is None


def test_rubbish_leads_on_to_the_next_smaller_one(hub: HubServer, small: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", small)
    hub.touch("a/stdlib-20M-Instruct-GGUF", "m-Q4_0.gguf", b"<!doctype html><html>")
    sibling = found(hub, tmp_path)
    assert sibling is not None
    assert sibling.repository == "a/stdlib-3M-Instruct-GGUF"


def test_a_name_without_a_size_asks_nobody(hub: HubServer, tmp_path: Path) -> None:
    assert smaller_sibling(Hub(hub.endpoint), "my model", pruned(), tmp_path) is None
    assert hub.bytes_sent == 0


def test_no_network_is_said(hub: HubServer, small: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", small)
    hub.add_fault(Fault.DROP, at=0.0, times=-1)
    with pytest.raises(OfflineError):
        found(hub, tmp_path)
