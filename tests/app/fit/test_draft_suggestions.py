"""Drafts on the hub: whose family a name tells, and that each is checked from its header alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import pytest

from app.errors import Cancelled, OfflineError
from app.fit.draft_suggestions import DraftSuggestion, draft_suggestions, family_name
from app.hub.remote import FIRST_BYTES, STEP_BYTES
from app.hub.transport import Call, Hub
from app.library.gguf_file import read_header
from app.library.library import ModelEntry, ModelSource
from app.library.manifest import FileOrigin
from app.system.paths import STARTER_MODEL
from tests.app.engine.drafts import draft_file, rewrite
from tests.hub_server import Fault, HubServer


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draft_file(tmp_path_factory.mktemp("draft"))


def target(repository: str = "someone/stdlib-21M-Instruct-GGUF") -> ModelEntry:
    header, size = read_header(STARTER_MODEL), STARTER_MODEL.stat().st_size
    origin = FileOrigin("", size, repository)
    return ModelEntry(STARTER_MODEL, "starter", size, header, "", ModelSource.SINGLE_FILE, origin=origin)


def put(hub: HubServer, repository: str, source: Path, name: str = "m-Q8_0.gguf") -> None:
    place = hub.folder / repository
    place.mkdir(parents=True)
    shutil.copy(source, place / name)


def suggested(hub: HubServer, folder: Path, call: Call | None = None) -> tuple[DraftSuggestion, ...]:
    return draft_suggestions(Hub(hub.endpoint), target(), folder / "headers", call)


@pytest.mark.parametrize(
    ("name", "words", "parameters", "rest"),
    [
        ("Qwen2.5-7B-Instruct-GGUF", ("qwen2.5",), 7e9, {"instruct"}),
        ("Meta-Llama-3.1-8B-Instruct", ("llama", "3.1"), 8e9, {"instruct"}),
        ("SmolLM2-360M", ("smollm2",), 360e6, set()),
        ("Qwen_Qwen3-0.6B-Base", ("qwen", "qwen3"), 0.6e9, {"base"}),
        ("Qwen2.5-Coder-1.5B", ("qwen2.5", "coder"), 1.5e9, set()),
    ],
)
def test_a_name_says_family_and_size(name: str, words: tuple[str, ...], parameters: float, rest: set[str]) -> None:
    family = family_name(name)
    assert family is not None
    assert (family.words, family.rest) == (words, rest)
    assert family.parameters == pytest.approx(parameters)


@pytest.mark.parametrize("name", ["Phi-4-mini", "7B", "Mixtral-8x7B", "model", "Q4_K_M", ""])
def test_a_name_without_family_or_size_says_nothing(name: str) -> None:
    assert family_name(name) is None


def test_a_smaller_one_of_the_family_is_found_without_its_weights(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-Instruct-GGUF", draft)
    found = suggested(hub, tmp_path)
    assert found == (DraftSuggestion("a/stdlib-3M-Instruct-GGUF", "Q8_0", "m-Q8_0.gguf", draft.stat().st_size),)
    assert hub.bytes_sent < FIRST_BYTES + STEP_BYTES + 50_000 < draft.stat().st_size


def test_other_families_and_larger_members_are_not_looked_at(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    for repository in ("a/stdlib-40M-GGUF", "a/stdlib-20M-GGUF", "a/novels-3M-GGUF", "a/stdlib-tiny-GGUF"):
        put(hub, repository, draft)
    assert suggested(hub, tmp_path) == ()


def test_one_of_each_size_is_taken_for_the_same_purpose(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    for repository in ("a/stdlib-3M-Math-GGUF", "b/stdlib-3M-Instruct-GGUF", "c/stdlib-5M-GGUF"):
        put(hub, repository, draft)
    assert {one.repository for one in suggested(hub, tmp_path)} == {"b/stdlib-3M-Instruct-GGUF", "c/stdlib-5M-GGUF"}


def test_another_vocabulary_is_told_before_the_download(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    words = gguf.GGUFReader(draft).fields["tokenizer.ggml.tokens"].contents()
    words[139] = "different"
    other = rewrite(draft, tmp_path / "other.gguf", tokenizer_ggml_tokens=words)
    put(hub, "a/stdlib-2M-GGUF", other)
    put(hub, "a/stdlib-3M-GGUF", draft)
    assert [one.problem for one in suggested(hub, tmp_path)] == ["", "token 139 is different"]


def test_a_model_that_is_larger_than_its_name_says_is_refused(hub: HubServer, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", STARTER_MODEL)
    assert [one.problem for one in suggested(hub, tmp_path)] == ["as large as the model itself"]


def test_a_gated_one_and_rubbish_say_what_is_wrong(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", draft)
    hub.gate("a/stdlib-3M-GGUF", "hf_right", approved=False)
    hub.touch("a/stdlib-2M-GGUF", "m-Q4_0.gguf", b"<!doctype html><html>")
    problems = {one.repository: one.problem for one in suggested(hub, tmp_path)}
    assert "accept conditions" in problems["a/stdlib-3M-GGUF"]
    assert problems["a/stdlib-2M-GGUF"]


def test_a_repository_without_gguf_files_is_left_out(hub: HubServer, tmp_path: Path) -> None:
    hub.touch("a/stdlib-3M-GGUF", "mmproj-m.gguf", b"GGUF")
    assert suggested(hub, tmp_path) == ()


def test_no_network_is_said(draft: Path, hub: HubServer, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", draft)
    hub.add_fault(Fault.DROP, at=0.0, times=-1)
    with pytest.raises(OfflineError):
        suggested(hub, tmp_path)


def test_a_cancelled_call_ends(hub: HubServer, draft: Path, tmp_path: Path) -> None:
    put(hub, "a/stdlib-3M-GGUF", draft)
    call = Call()
    call.cancel()
    with pytest.raises(Cancelled):
        suggested(hub, tmp_path, call)
