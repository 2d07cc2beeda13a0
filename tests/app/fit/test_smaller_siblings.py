"""Ready-made models beside one that was made smaller: those of its family and its size, from headers alone."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from app.engine.messages import KvType
from app.errors import Cancelled
from app.fit.draft_suggestions import Siblings, Wanted, smaller_siblings
from app.fit.judgement import MemoryBudget
from app.fit.verdict import Verdict
from app.hub.remote import FIRST_BYTES, STEP_BYTES
from app.hub.transport import Call, Hub
from app.library.library import ModelEntry, ModelSource
from tests.app.engine.drafts import draft_file
from tests.hub_server import Fault, HubServer

SOURCE = ModelEntry(
    Path("/models/me/stdlib-21M"),
    "stdlib-21M-Instruct",
    42_000_000,
    None,
    "",
    ModelSource.MODELS_FOLDER,
    is_folder=True,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draft_file(tmp_path_factory.mktemp("small"))


@pytest.fixture
def wanted(small: Path) -> Wanted:
    return Wanted(small.stat().st_size, 1024, KvType.F16, MemoryBudget(8 * 10**9, 8 * 10**9))


def put(hub: HubServer, repository: str, source: Path, name: str = "m-Q8_0.gguf") -> None:
    place = hub.folder / repository
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place / name)


def found(hub: HubServer, wanted: Wanted, folder: Path, call: Call | None = None) -> Siblings:
    return smaller_siblings(Hub(hub.endpoint), SOURCE, wanted, folder / "headers", call)


def test_one_of_the_family_and_the_size_is_found_without_its_weights(
    hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path
) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", small)
    (one,) = found(hub, wanted, tmp_path).models
    assert (one.repository, one.label, one.file) == ("a/stdlib-3M-Instruct-GGUF", "Q8_0", "m-Q8_0.gguf")
    assert one.size_bytes == small.stat().st_size < one.memory_bytes
    assert one.verdict is Verdict.FITS
    assert hub.bytes_sent < FIRST_BYTES + STEP_BYTES + 50_000 < small.stat().st_size


def test_what_does_not_fit_says_so(hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", small)
    tiny = dataclasses.replace(wanted, budget=MemoryBudget(10**6, 10**6))
    assert [one.verdict for one in found(hub, tiny, tmp_path).models] == [Verdict.TOO_BIG]


@pytest.mark.parametrize("factor", [0.5, 3.0], ids=["larger than the result", "far smaller than it"])
def test_files_of_another_size_are_left_out(
    hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path, factor: float
) -> None:
    put(hub, "a/stdlib-3M-GGUF", small)
    other = dataclasses.replace(wanted, size_bytes=int(wanted.size_bytes * factor))
    result = found(hub, other, tmp_path)
    assert result.models == ()
    assert "no ready-made smaller model" in result.sentence


def test_other_families_are_left_out(hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path) -> None:
    put(hub, "a/novels-3M-GGUF", small)
    assert found(hub, wanted, tmp_path).models == ()


def test_a_name_that_says_nothing_is_not_looked_for(hub: HubServer, wanted: Wanted, tmp_path: Path) -> None:
    nameless = dataclasses.replace(SOURCE, name="model", path=Path("/models/me/model"))
    result = smaller_siblings(Hub(hub.endpoint), nameless, wanted, tmp_path)
    assert "neither family nor size" in result.sentence
    assert hub.bytes_sent == 0


def test_rubbish_is_left_out(hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path) -> None:
    hub.touch("a/stdlib-3M-GGUF", "m-Q4_0.gguf", b"<!doctype html>".ljust(small.stat().st_size))
    assert found(hub, wanted, tmp_path).models == ()


def test_without_a_network_it_is_empty_and_says_so(hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", small)
    hub.add_fault(Fault.DROP, at=0.0, times=-1)
    result = found(hub, wanted, tmp_path)
    assert result.models == ()
    assert "could not be looked for" in result.sentence


def test_a_cancelled_call_ends(hub: HubServer, small: Path, wanted: Wanted, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", small)
    call = Call()
    call.cancel()
    with pytest.raises(Cancelled):
        found(hub, wanted, tmp_path, call)
