"""Downloads against a hub that misbehaves: the right bytes or a sentence, and nothing half under a final name."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.diagnostics.debug_log import open_debug_log
from app.errors import AppError, Cancelled, DiskFullError, GatedError, HubError, OfflineError, StorageError
from app.hub.download import Patience, download
from app.hub.messages import Download, DownloadPhase, DownloadPlan, DownloadProgress
from app.hub.part import Part, remove_part
from app.hub.plan import make_plan, plan_as_dict, plan_from_dict
from app.hub.repository import RemoteFile, open_repository
from app.hub.transport import Hub, Timeouts
from app.library.manifest import origin_of, read_manifest
from app.operation import Context, Event, Notice
from app.system.paths import Paths
from tests.hub_server import Fault, HubServer
from tests.real_models import write_safetensors

CONTENT = random.Random(1).randbytes(400_000)
PATIENCE = Patience(first_wait_s=0.001, longest_wait_s=0.002, give_up_s=0.01, timeouts=Timeouts(1.0, 0.2))
FAULTS = (
    Fault.DROP, Fault.RESET, Fault.STALL, Fault.SLOW, Fault.TRUNCATE, Fault.EXTEND, Fault.CORRUPT, Fault.IGNORE_RANGE,
    Fault.WRONG_SIZE, Fault.TOO_MANY, Fault.UNAVAILABLE, Fault.FORBIDDEN, Fault.UNAUTHORIZED,
)  # fmt: skip
PLACES = {"start": 0.0, "middle": 0.5, "end": 0.99, "resumed": 0.7, "last byte": (len(CONTENT) - 1) / len(CONTENT)}


@pytest.fixture
def plan(hub: HubServer, tmp_path: Path) -> DownloadPlan:
    hub.touch("someone/model", "m-Q4_0.gguf", CONTENT)
    return plan_of(hub, "someone/model", tmp_path / "models")


def plan_of(hub: HubServer, repository: str, models: Path) -> DownloadPlan:
    opened = open_repository(Hub(hub.endpoint), repository)
    return make_plan(hub.endpoint, opened, opened.models[0], models)


def fetch(plan: DownloadPlan, token: str = "", stop=lambda: False, patience: Patience = PATIENCE) -> list[Event]:
    events: list[Event] = []
    download(Download(plan, token), Context(report=events.append, stop=stop), patience=patience)
    return events


def half_done(plan: DownloadPlan, share: float) -> None:
    """The state after a kill: so much has arrived."""
    target = plan.folder / plan.files[0].path
    with Part(target, plan_as_dict(plan)) as part:
        part.append(CONTENT[: int(len(CONTENT) * share)])
        part.expect(_expected(plan))


def _expected(plan: DownloadPlan):
    from app.hub.part import Expected

    return Expected(plan.files[0].sha256, plan.files[0].size_bytes, is_sha256=True)


def target_of(plan: DownloadPlan) -> Path:
    return plan.folder / plan.files[0].path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_at_every_place_ends_well(hub: HubServer, plan: DownloadPlan, fault: Fault, place: str) -> None:
    if place == "resumed":
        half_done(plan, 0.4)
    hub.add_fault(fault, at=PLACES[place], path="*.gguf")
    if fault in (Fault.FORBIDDEN, Fault.UNAUTHORIZED):
        with pytest.raises(AppError, match=r"\.$"):
            fetch(plan)
        assert not target_of(plan).exists()
        hub.clear_faults()
    fetch(plan)
    assert target_of(plan).read_bytes() == CONTENT
    assert sorted(path.name for path in plan.folder.iterdir()) == ["m-Q4_0.gguf", "manifest.json"]


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.STALL, Fault.CORRUPT, Fault.TRUNCATE, Fault.UNAVAILABLE])
def test_a_fault_that_stays_is_a_sentence_and_leaves_no_half_file(
    hub: HubServer, plan: DownloadPlan, fault: Fault
) -> None:
    hub.add_fault(fault, at=0.5, path="*.gguf", times=-1)
    with pytest.raises((OfflineError, HubError)):
        fetch(plan)
    assert not target_of(plan).exists()
    hub.clear_faults()
    fetch(plan)
    assert target_of(plan).read_bytes() == CONTENT


def test_the_debug_log_tells_its_decisions_and_no_name(hub: HubServer, plan: DownloadPlan, bantam_home: Path) -> None:
    hub.add_fault(Fault.DROP, at=0.5, path="*.gguf")
    hub.add_fault(Fault.CORRUPT, at=0.7, path="*.gguf")
    log = open_debug_log(Paths(bantam_home).ensure())
    try:
        fetch(plan, token="hf_secretToken")
    finally:
        log.close()
    text = Paths(bantam_home).debug_log.read_text("utf-8")
    assert f"attempt: 0 of {len(CONTENT)} bytes are there, check: sha256" in text
    assert "attempt ended" in text
    assert "the file arrived damaged" in text
    assert "whole: right" in text
    assert not any(word in text for word in ("m-Q4_0", "someone", "hf_secret", hub.endpoint.split("/")[2]))


@pytest.mark.parametrize("fault", [Fault.RENAMED, Fault.NO_CHECKSUM])
def test_a_file_whose_headers_name_no_hash_is_compared_with_the_listed_one(
    hub: HubServer, plan: DownloadPlan, fault: Fault
) -> None:
    hub.add_fault(fault, path="*.gguf", times=-1)
    hub.add_fault(Fault.CORRUPT, path="*.gguf")
    fetch(plan)
    assert target_of(plan).read_bytes() == CONTENT
    assert hub.bytes_sent > len(CONTENT), "the damaged one was found out and fetched again"


def test_a_file_that_nothing_can_be_compared_with_is_told(hub: HubServer, plan: DownloadPlan) -> None:
    unlisted = dataclasses.replace(plan, files=(dataclasses.replace(plan.files[0], sha256=""),))
    hub.add_fault(Fault.NO_CHECKSUM, path="*.gguf", times=-1)
    told = [event.sentence for event in fetch(unlisted) if isinstance(event, Notice)]
    assert len(told) == 1
    assert "no checksum" in told[0]


@pytest.mark.parametrize("by", [1, -1, 1000])
def test_a_size_that_is_never_right_ends_in_a_sentence_and_few_transfers(
    hub: HubServer, plan: DownloadPlan, by: int
) -> None:
    hub.add_fault(Fault.WRONG_SIZE, path="*.gguf", times=-1, by=by)
    with pytest.raises(HubError):
        fetch(plan, patience=dataclasses.replace(PATIENCE, give_up_s=10.0))
    assert hub.bytes_sent < 3.5 * len(CONTENT)  # with the words around them


def test_a_server_without_ranges_that_loses_the_connection_is_not_asked_for_ever(
    hub: HubServer, plan: DownloadPlan
) -> None:
    hub.add_fault(Fault.NO_RANGES, at=0.9, path="*.gguf", times=-1)
    with pytest.raises(HubError, match="3 times over"):
        fetch(plan, patience=dataclasses.replace(PATIENCE, give_up_s=10.0))
    assert hub.bytes_sent <= 4 * len(CONTENT)


def test_what_has_arrived_is_not_fetched_again(hub: HubServer, plan: DownloadPlan) -> None:
    half_done(plan, 0.9)
    before = hub.bytes_sent
    fetch(plan)
    assert hub.bytes_sent - before < 0.11 * len(CONTENT)


def test_a_part_with_other_bytes_is_found_out(hub: HubServer, plan: DownloadPlan) -> None:
    half_done(plan, 0.5)
    part = target_of(plan).with_name("m-Q4_0.gguf.part")
    part.write_bytes(b"\0" + part.read_bytes()[1:])
    fetch(plan)
    assert target_of(plan).read_bytes() == CONTENT


def test_another_file_on_the_hub_starts_over_and_says_so(hub: HubServer, plan: DownloadPlan) -> None:
    half_done(plan, 0.5)
    new = CONTENT[::-1]
    hub.touch("someone/model", "m-Q4_0.gguf", new)
    events = fetch(plan)
    notices = [event.sentence for event in events if isinstance(event, Notice)]
    assert any("newer version" in sentence for sentence in notices)
    assert any("starts over" in sentence for sentence in notices)
    assert target_of(plan).read_bytes() == new
    origin = origin_of(target_of(plan))
    assert origin is not None
    assert origin.revision == hub.repositories["someone/model"].commit


def test_the_manifest_says_where_it_came_from(hub: HubServer, plan: DownloadPlan) -> None:
    fetch(plan)
    origin = read_manifest(plan.folder).files["m-Q4_0.gguf"]
    assert (origin.repository, origin.revision, origin.endpoint) == (plan.repository, plan.revision, hub.endpoint)
    assert origin.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_a_file_that_is_there_is_not_fetched(hub: HubServer, plan: DownloadPlan) -> None:
    fetch(plan)
    before = len(hub.requests)
    fetch(plan)
    assert len(hub.requests) == before


def test_a_right_file_without_a_manifest_is_taken_as_it_is(hub: HubServer, plan: DownloadPlan) -> None:
    plan.folder.mkdir(parents=True)
    target_of(plan).write_bytes(CONTENT)
    before = len(hub.requests)
    fetch(plan)
    assert len(hub.requests) == before
    assert origin_of(target_of(plan)) is not None


def test_another_file_of_that_name_is_not_overwritten(plan: DownloadPlan) -> None:
    plan.folder.mkdir(parents=True)
    target_of(plan).write_bytes(b"mine")
    with pytest.raises(StorageError, match="name"):
        fetch(plan)
    assert target_of(plan).read_bytes() == b"mine"


def test_a_stop_keeps_what_has_arrived(hub: HubServer, plan: DownloadPlan) -> None:
    hub.add_fault(Fault.SLOW, at=0.5, path="*.gguf")
    seen: list[Event] = []

    def stop() -> bool:
        part = target_of(plan).with_name("m-Q4_0.gguf.part")
        return part.exists() and part.stat().st_size > len(CONTENT) // 4

    with pytest.raises(Cancelled):
        download(Download(plan), Context(report=seen.append, stop=stop), patience=PATIENCE)
    before = hub.bytes_sent
    fetch(plan)
    assert hub.bytes_sent - before < 0.76 * len(CONTENT)


def test_two_downloads_of_one_file_do_not_meet(plan: DownloadPlan) -> None:
    with Part(target_of(plan), {}), pytest.raises(StorageError, match="already"):
        fetch(plan)


def test_the_network_that_comes_back_goes_on(hub: HubServer, plan: DownloadPlan) -> None:
    hub.stop()
    waited: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, DownloadProgress) and event.phase is DownloadPhase.WAITING:
            waited.append(event.sentence)
            if len(waited) == 2:
                hub.start()

    patience = dataclasses.replace(PATIENCE, first_wait_s=0.05, longest_wait_s=0.05, give_up_s=5)
    download(Download(plan), Context(report=report), patience=patience)
    assert target_of(plan).read_bytes() == CONTENT
    assert "could not be reached. Trying again" in waited[0]


def test_a_gated_file_needs_the_token_and_sends_it_to_the_hub_alone(hub: HubServer, plan: DownloadPlan) -> None:
    hub.gate("someone/model", "hf_right")
    with pytest.raises(GatedError, match="conditions"):
        fetch(plan)
    assert not list(plan.folder.glob("*.gguf*"))
    fetch(plan, "hf_right")
    assert {r.headers.get("authorization") for r in hub.requests if r.server == "cdn"} == {None}
    assert not any("hf_right" in path.read_text("utf-8", "ignore") for path in plan.folder.iterdir())


def test_no_room_is_said_before_the_first_byte(
    hub: HubServer, plan: DownloadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(plan.folder.parents[2])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=100_000))
    before = len(hub.requests)
    with pytest.raises(DiskFullError, match="must stay free there"):
        fetch(plan)
    assert len(hub.requests) == before


def test_a_disk_that_fills_up_keeps_what_has_arrived(
    hub: HubServer, plan: DownloadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, room = Part.append, [len(CONTENT) // 2]

    def limited(part: Part, data: bytes) -> None:
        room[0] -= len(data)
        if room[0] < 0:
            from app.hub.part import storage_error

            raise storage_error(OSError(errno.ENOSPC, "No space left on device"), part.target)
        append(part, data)

    monkeypatch.setattr(Part, "append", limited)
    with pytest.raises(DiskFullError, match="full"):
        fetch(plan)
    room[0] = len(CONTENT)
    before = hub.bytes_sent
    fetch(plan)
    assert target_of(plan).read_bytes() == CONTENT
    assert hub.bytes_sent - before < 0.8 * len(CONTENT)


@pytest.mark.parametrize("path", ["../outside.gguf", "/etc/x.gguf", "a/../../x.gguf"])
def test_a_plan_that_leaves_its_folder_is_refused(plan: DownloadPlan, path: str) -> None:
    hostile = dataclasses.replace(plan, files=(RemoteFile(path, 10),))
    with pytest.raises(HubError, match="leave its folder"):
        fetch(hostile)
    with pytest.raises(HubError):
        plan_from_dict(plan_as_dict(hostile))


def test_a_safetensors_repository_is_fetched_whole_with_its_small_files(hub: HubServer, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    write_safetensors(weights, {"a": np.zeros((64, 32), np.float32)})
    files = {"config.json": b"{}", "tokenizer.json": b"{ }", "model.safetensors": weights.read_bytes()}
    for name, content in {**files, "pytorch_model.bin": b"x" * 100_000, "run.py": b"import os"}.items():
        hub.touch("orig/model", name, content)
    plan = plan_of(hub, "orig/model", tmp_path / "models")
    assert plan.reserve_bytes > 0
    fetch(plan)
    found = {path.name for path in plan.folder.iterdir()}
    assert found == {*files, "manifest.json"}
    assert all((plan.folder / name).read_bytes() == content for name, content in files.items())


def test_a_plan_survives_json(plan: DownloadPlan) -> None:
    assert plan_from_dict(plan_as_dict(plan)) == plan


def test_remove_part_leaves_nothing(plan: DownloadPlan) -> None:
    half_done(plan, 0.5)
    remove_part(target_of(plan))
    assert list(plan.folder.iterdir()) == []
