"""Original weights without their bytes: what is promised of them is what comes of the whole download."""

from __future__ import annotations

import shutil
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from app.engine.memory import memory_need
from app.engine.messages import KvType, LoadModel
from app.errors import GatedError, HubError
from app.fit.judgement import MADE_TYPES
from app.hub import original
from app.hub.download import download
from app.hub.messages import Download
from app.hub.original import SparseFolder, fetch_sparse_folder
from app.hub.plan import make_plan
from app.hub.remote import RemoteBeginning
from app.hub.repository import Repository, open_repository
from app.hub.transport import Hub
from app.operation import Context
from app.quantize.messages import PlanConversion, PlannedFile, Quantize
from app.quantize.preview import plan_conversion
from app.quantize.quantize import quantize
from tests.hub_server import HubServer
from tests.real_models import STDLIB_3M

CONTEXT = 1024
NAME = "me/a-name-that-is-not-the-folder-of-the-test"
WEIGHTS = "model.safetensors"


@pytest.fixture
def repository(hub: HubServer) -> Repository:
    shutil.copytree(STDLIB_3M, hub.folder / NAME)
    return open_repository(Hub(hub.endpoint), NAME)


def fetch(hub: HubServer, repository: Repository, folder: Path) -> SparseFolder:
    return fetch_sparse_folder(Hub(hub.endpoint), repository, repository.models[0], folder)


def planned(folder: Path) -> dict[str, PlannedFile]:
    request = PlanConversion(folder, MADE_TYPES, (CONTEXT,), (KvType.F16,))
    return {file.type: file for file in plan_conversion(request, Context()).files}


def made(hub: HubServer, repository: Repository, models: Path) -> Path:
    plan = make_plan(hub.endpoint, repository, repository.models[0], models)
    download(Download(plan), Context())
    return plan.folder


def test_size_and_memory_are_those_of_the_file_that_is_made(
    hub: HubServer, repository: Repository, tmp_path: Path
) -> None:
    promised = planned(fetch(hub, repository, tmp_path / "headers").path)
    folder = made(hub, repository, tmp_path / "models")
    for kind in MADE_TYPES:
        output = tmp_path / f"{kind}.gguf"
        quantize(Quantize(folder, output, kind), Context())
        assert output.stat().st_size == promised[kind].size_bytes
        need, curve = memory_need(LoadModel(output, context_tokens=CONTEXT)), promised[kind].curve
        ours = curve.need(CONTEXT, KvType.F16)
        assert (ours.weights_bytes, ours.kv_bytes, ours.compute_bytes) == (
            need.weights_bytes, need.kv_bytes, need.compute_bytes,
        )  # fmt: skip
        assert ours.engine_bytes == pytest.approx(need.engine_bytes, rel=0.05)


def test_another_name_or_another_tokenizer_would_be_another_size(
    hub: HubServer, repository: Repository, tmp_path: Path
) -> None:
    """The negative controls: the equality above is not one of anything with anything."""
    sparse = fetch(hub, repository, tmp_path / "headers").path
    size = planned(sparse)["Q4_K_M"].size_bytes
    renamed = Path(shutil.copytree(sparse, tmp_path / "m"))
    assert planned(renamed)["Q4_K_M"].size_bytes != size
    settings = sparse / "tokenizer.json"
    settings.write_text(settings.read_text().replace("Ġdef", "ĠdefinitelyAnotherTokenThatIsLonger"))
    assert planned(sparse)["Q4_K_M"].size_bytes != size


def header_bytes() -> int:
    with (STDLIB_3M / WEIGHTS).open("rb") as file:
        return 8 + int(struct.unpack("<Q", file.read(8))[0])


def weights_sent(hub: HubServer, expected: int) -> int:
    """What the server has sent of the file with the weights; it counts a moment after the last byte is read here."""
    deadline = time.monotonic() + 5
    while True:
        cdn = [record for record in hub.requests if record.server == "cdn"]
        sent = sum(record.bytes_sent for record in cdn if record.path.partition("?")[0].endswith(WEIGHTS))
        if sent >= expected or time.monotonic() > deadline:
            return sent
        time.sleep(0.01)


def test_no_weights_are_fetched(hub: HubServer, repository: Repository, tmp_path: Path) -> None:
    sparse, header = fetch(hub, repository, tmp_path / "headers"), header_bytes()
    assert weights_sent(hub, header) == header
    stub = sparse.path / WEIGHTS
    assert stub.stat().st_size == (STDLIB_3M / WEIGHTS).stat().st_size
    assert stub.stat().st_blocks * 512 < header + 8192
    assert stub.read_bytes()[:header] == (STDLIB_3M / WEIGHTS).read_bytes()[:header]
    assert not any(stub.read_bytes()[header:])


def test_reading_ahead_would_fetch_weights(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above: as GGUF headers are read, whose length nobody knows."""

    def reading_ahead(*arguments: Any, exact: bool) -> RemoteBeginning:
        return RemoteBeginning(*arguments)

    monkeypatch.setattr(original, "RemoteBeginning", reading_ahead)
    fetch(hub, repository, tmp_path / "headers")
    assert weights_sent(hub, header_bytes() + 1) > header_bytes()


def test_a_second_look_costs_nothing(hub: HubServer, repository: Repository, tmp_path: Path) -> None:
    assert fetch(hub, repository, tmp_path).traffic_bytes > 0
    assert fetch(hub, repository, tmp_path).traffic_bytes == 0


def test_two_files_are_planned_as_one(hub: HubServer, repository: Repository, tmp_path: Path) -> None:
    """A file that the index names and that is not listed is missing, and said to be."""
    hub.touch(NAME, "model.safetensors.index.json", b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    (hub.folder / NAME / WEIGHTS).rename(hub.folder / NAME / "model-00002-of-00002.safetensors")
    again = open_repository(Hub(hub.endpoint), NAME)
    with pytest.raises(Exception, match="are missing"):
        planned(fetch(hub, again, tmp_path).path)


@pytest.mark.parametrize("content", [struct.pack("<Q", 1 << 60), b"\x02" + bytes(7) + b"[", bytes(4)])
def test_a_damaged_header_is_said(hub: HubServer, content: bytes, tmp_path: Path) -> None:
    hub.touch(NAME, "config.json", b"{}")
    hub.touch(NAME, WEIGHTS, content)
    with pytest.raises(HubError, match="damaged"):
        fetch(hub, open_repository(Hub(hub.endpoint), NAME), tmp_path)
    assert not list(tmp_path.rglob("*.part"))


def test_what_would_take_too_long_is_not_fetched(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "MAX_SMALL_BYTES", 1000)
    with pytest.raises(HubError, match="cannot be right"):
        fetch(hub, repository, tmp_path)


def test_a_gated_repository_asks_for_access(hub: HubServer, repository: Repository, tmp_path: Path) -> None:
    hub.gate(NAME)
    with pytest.raises(GatedError):
        fetch(hub, repository, tmp_path)
