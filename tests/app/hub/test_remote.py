"""Headers of remote models: what they cost, that they are right, and how each trouble on the way ends."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from app.errors import GatedError, HubError, ModelFileError, OfflineError
from app.hub.remote import MAX_STUBS, fetch_stub
from app.hub.repository import open_repository
from app.hub.transport import Hub
from app.library.gguf_file import read_header
from app.system.paths import STARTER_MODEL
from tests.app.hub.gguf_headers import entry, llama_8b, text, write
from tests.hub_server import Fault, HubServer


def stub(hub: HubServer, repository: str, folder: Path, **options: str):
    address = Hub(hub.endpoint, **options)
    opened = open_repository(address, repository)
    return fetch_stub(address, opened, opened.models[0], folder)


def test_a_stub_says_what_the_file_says(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    found = stub(hub, starter_repository, tmp_path)
    assert found.header == read_header(STARTER_MODEL)
    assert found.path.stat().st_size == STARTER_MODEL.stat().st_size
    assert found.path.stat().st_blocks * 512 < 4_000_000


def test_a_second_look_costs_nothing(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    first, second = stub(hub, starter_repository, tmp_path), stub(hub, starter_repository, tmp_path)
    assert first.traffic_bytes > 0
    assert second.traffic_bytes == 0


def test_the_header_of_an_8b_model_costs_12_mb_at_most(hub: HubServer, tmp_path: Path) -> None:
    llama_8b(hub.folder / "big" / "llama-GGUF" / "llama-8B-Q4_0.gguf")
    hub.touch("big/llama-GGUF", ".hub.json", b'{"quick_hash": true}')
    address = Hub(hub.endpoint)
    opened = open_repository(address, "big/llama-GGUF")
    before = hub.bytes_sent
    found = fetch_stub(address, opened, opened.models[0], tmp_path)
    assert 6_000_000 < hub.bytes_sent - before <= 12_000_000
    assert found.header.parameters_str == "8.0 B"
    assert found.path.stat().st_size > 4_000_000_000


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.TRUNCATE, Fault.UNAVAILABLE])
def test_one_fault_on_the_way_is_got_over(
    hub: HubServer, starter_repository: str, tmp_path: Path, fault: Fault
) -> None:
    hub.add_fault(fault, at=0.002, server="cdn")
    if fault is Fault.UNAVAILABLE:
        with pytest.raises(HubError, match="503"):
            stub(hub, starter_repository, tmp_path)
    assert stub(hub, starter_repository, tmp_path).header == read_header(STARTER_MODEL)


def test_a_server_without_ranges_is_read_from_the_start(
    hub: HubServer, starter_repository: str, tmp_path: Path
) -> None:
    hub.add_fault(Fault.IGNORE_RANGE, times=-1)
    assert stub(hub, starter_repository, tmp_path).header == read_header(STARTER_MODEL)


def test_a_network_that_stays_away_is_said(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    hub.add_fault(Fault.DROP, at=0.0, times=-1)
    with pytest.raises(OfflineError):
        stub(hub, starter_repository, tmp_path)
    assert not [path for path in tmp_path.rglob("*.gguf*") if hub.folder not in path.parents]


def test_a_gated_file_says_so(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    hub.gate(starter_repository, "hf_right", approved=False)
    with pytest.raises(GatedError, match="accept conditions"):
        stub(hub, starter_repository, tmp_path)
    with pytest.raises(GatedError, match="not let you in yet"):
        stub(hub, starter_repository, tmp_path, token="hf_right")


def test_500_mb_of_metadata_are_not_fetched(hub: HubServer, tmp_path: Path) -> None:
    path = hub.folder / "bad" / "endless" / "m-Q4_0.gguf"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + entry("general.architecture", 8, text("llama")))
        file.write(text("x.filler") + struct.pack("<IIQ", 9, 8, 3_000_000))
        for _ in range(3_000_000 // 1000):
            file.write(text(b"x" * 160) * 1000)
    before = hub.bytes_sent
    with pytest.raises(HubError, match="longer than 64"):
        stub(hub, "bad/endless", tmp_path / "stubs")
    assert hub.bytes_sent - before < 66_000_000
    assert not list((tmp_path / "stubs").rglob("*.gguf*"))


@pytest.mark.parametrize("content", [b"<!doctype html><html>", b"GGUF" + b"\xff" * 2000, b"\0" * 5000])
def test_what_is_no_gguf_says_what_it_is(hub: HubServer, tmp_path: Path, content: bytes) -> None:
    hub.touch("bad/file", "m-Q4_0.gguf", content)
    with pytest.raises(ModelFileError):
        stub(hub, "bad/file", tmp_path / "stubs")


def test_a_size_that_is_not_the_listed_one_is_said(hub: HubServer, starter_repository: str, tmp_path: Path) -> None:
    hub.add_fault(Fault.WRONG_SIZE, path="/api/*")
    with pytest.raises(HubError, match="as the hub's list says"):
        stub(hub, starter_repository, tmp_path)


def test_old_stubs_go(hub: HubServer, tmp_path: Path) -> None:
    entries = [entry("general.architecture", 8, text("llama"))]
    for n in range(MAX_STUBS + 3):
        write(hub.folder / "many" / f"m{n}" / "m-Q4_0.gguf", entries, [("a", (32,), 0)])
        with pytest.raises(ModelFileError):  # a header without numbers is kept as a stub, and refused
            stub(hub, f"many/m{n}", tmp_path / "stubs")
    llama_8b(hub.folder / "many" / "last" / "m-Q4_0.gguf", vocabulary=1000, merges=10)
    hub.touch("many/last", ".hub.json", b'{"quick_hash": true}')
    stub(hub, "many/last", tmp_path / "stubs")
    assert len(list((tmp_path / "stubs").glob("*/*/*"))) <= MAX_STUBS
