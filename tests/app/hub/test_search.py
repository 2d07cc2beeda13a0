"""Search, repositories and cards, against the local hub; and all the ways in which they can fail."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.errors import Cancelled, GatedError, HubError, OfflineError
from app.hub.repository import (
    Gate,
    ModelFormat,
    SearchQuery,
    model_card,
    open_repository,
    plain_text,
    repository_of,
    search,
)
from app.hub.transport import Call, Hub, Timeouts, Transport, check_status, endpoint_of
from tests.hub_server import Fault, HubServer

SIBLING = {"size": 1000, "lfs": {"sha256": "a" * 64}, "blobId": "b" * 40}


def test_results_come_in_pages_until_the_end(tmp_path: Path) -> None:
    with HubServer(tmp_path, extra_repositories=120) as server:
        hub = Hub(server.endpoint)
        page = search(hub, SearchQuery("instruct"))
        seen = [summary.id for summary in page.results]
        while page.cursor:
            page = search(hub, SearchQuery("instruct"), page.cursor)
            seen += [summary.id for summary in page.results]
    assert len(seen) == len(set(seen)) == 120


def test_an_author_and_a_format_narrow_the_search(tmp_path: Path) -> None:
    with HubServer(tmp_path, extra_repositories=60) as server:
        page = search(Hub(server.endpoint), SearchQuery("", author="author-3"))
        assert {summary.author for summary in page.results} == {"author-3"}
        assert search(Hub(server.endpoint), SearchQuery("", format=ModelFormat.SAFETENSORS)).results == ()


def test_a_pasted_address_finds_its_repository_first(hub: HubServer, starter_repository: str) -> None:
    page = search(Hub(hub.endpoint), SearchQuery(f"https://huggingface.co/{starter_repository}", format=None))
    assert [summary.id for summary in page.results] == [starter_repository]
    assert search(Hub(hub.endpoint), SearchQuery("nobody/nothing")).results == ()


def test_a_repository_says_what_can_be_used(hub: HubServer, starter_repository: str) -> None:
    repository = open_repository(Hub(hub.endpoint), starter_repository)
    (model,) = repository.models
    assert (model.format, model.label, repository.summary.license) == (ModelFormat.GGUF, "Q8_0", "mit")
    assert model.files[0].sha256
    assert repository.revision == hub.repositories[starter_repository].commit


def test_hostile_names_are_left_out(hub: HubServer, starter_repository: str) -> None:
    hub.add_fault(Fault.HOSTILE_NAMES)
    with Transport(Hub(hub.endpoint)) as transport:
        facts, _ = transport.get_json(f"/api/models/{starter_repository}", {"blobs": "true"})
    assert len(facts["siblings"]) > 5
    assert [model.key for model in repository_of(facts, starter_repository).models] == ["stdlib-21m-Q8_0.gguf"]


def facts(*names: str) -> dict[str, object]:
    return {"id": "a/b", "sha": "c" * 40, "siblings": [SIBLING | {"rfilename": name} for name in names]}


def test_parts_of_a_split_model_are_one_and_an_incomplete_one_is_none() -> None:
    names = [f"m-Q4_0-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    (model,) = repository_of(facts(*names), "a/b").models
    assert (model.size_bytes, len(model.files), model.label) == (3000, 3, "Q4_0")
    assert repository_of(facts(*names[:2]), "a/b").models == ()


def test_only_what_a_conversion_reads_is_taken() -> None:
    names = ("config.json", "model-00001-of-00001.safetensors", "pytorch_model.bin", "modeling.py", "tokenizer.json",
             "x.pt", "x.pkl", "onnx/model.safetensors", "consolidated.safetensors", "README.md")  # fmt: skip
    (model,) = repository_of(facts(*names), "a/b").models
    assert {file.path for file in model.files} == {"config.json", "model-00001-of-00001.safetensors", "tokenizer.json"}


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("model.safetensors-00001-of-00002.safetensors", "model.safetensors-00002-of-00002.safetensors"), (0, 1)),
        (("model.safetensors", "model-00001-of-00001.safetensors"), (0,)),
    ],
)
def test_the_weights_are_those_that_transformers_would_read(names: tuple[str, ...], taken: tuple[int, ...]) -> None:
    (model,) = repository_of(facts("config.json", *names), "a/b").models
    assert {file.path for file in model.files} == {"config.json", *(names[number] for number in taken)}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("pytorch_model.bin", "config.json"), "pickles"),
        (("adapter_config.json", "adapter_model.safetensors"), "adapter"),
        (("mmproj-model-f16.gguf",), "parts of models"),
        (("README.md",), "no model"),
    ],
)
def test_a_repository_without_a_model_says_why(names: tuple[str, ...], words: str) -> None:
    assert words in repository_of(facts(*names), "a/b").problem


@pytest.mark.parametrize(
    "siblings",
    [
        None,
        7,
        [None],
        [{"rfilename": 3}],
        [{"rfilename": "a.gguf", "size": -1}],
        [{"rfilename": "a.gguf", "size": 1e9}],
    ],
)
def test_nonsense_is_left_out(siblings: object) -> None:
    assert repository_of({"siblings": siblings, "gated": 7, "tags": [None]}, "a/b").models == ()


def test_gates(hub: HubServer, starter_repository: str) -> None:
    (hub.folder / starter_repository / ".hub.json").write_text('{"gated": "manual"}')
    assert open_repository(Hub(hub.endpoint), starter_repository).summary.gate is Gate.MANUAL


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault.TOO_MANY, HubError, "left alone"),
        (Fault.UNAVAILABLE, HubError, "503"),
        (Fault.UNAUTHORIZED, HubError, "private"),
        (Fault.FORBIDDEN, GatedError, "let you in"),
        (Fault.HTML, HubError, "not from a hub"),
    ],
)
def test_each_refusal_is_a_sentence(hub: HubServer, fault: Fault, error: type, words: str) -> None:
    hub.add_fault(fault)
    with pytest.raises(error, match=words) as caught:
        search(Hub(hub.endpoint), SearchQuery("x"))
    assert type(caught.value) is error


def test_no_network_is_one_error_for_all(hub: HubServer) -> None:
    hub.stop()
    with pytest.raises(OfflineError, match="could not be reached"):
        search(Hub(hub.endpoint), SearchQuery("x"))
    hub.start()
    assert search(Hub(hub.endpoint), SearchQuery("x")).results == ()


def test_a_server_that_never_answers_is_given_up(hub: HubServer) -> None:
    hub.add_fault(Fault.NO_ANSWER)
    with (
        pytest.raises(OfflineError, match="in time"),
        Transport(Hub(hub.endpoint), timeouts=Timeouts(1, 0.05)) as transport,
    ):
        transport.get_json("/api/models")


def test_a_call_can_be_cancelled_while_nothing_is_answered(hub: HubServer) -> None:
    hub.add_fault(Fault.NO_ANSWER)
    call = Call()
    arrived = threading.Event()
    watch, call.watch = call.watch, lambda *args: (watch(*args), arrived.set())  # type: ignore[method-assign]
    canceller = threading.Thread(target=lambda: (arrived.wait(), call.cancel()))
    canceller.start()
    with pytest.raises(Cancelled):
        search(Hub(hub.endpoint), SearchQuery("x"), call=call)
    canceller.join()


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://host", "http://", "http://[bad"])
def test_an_address_that_is_none(endpoint: str) -> None:
    with pytest.raises(HubError):
        search(Hub(endpoint), SearchQuery("x"))


def test_a_token_goes_to_the_hub_and_not_to_the_second_origin(hub: HubServer, starter_repository: str) -> None:
    hub.gate(starter_repository, "hf_secret")
    address = Hub(hub.endpoint, "hf_secret")
    url = address.file_url(starter_repository, "main", "stdlib-21m-Q8_0.gguf")
    with Transport(address) as transport, transport.stream("GET", url) as response:
        check_status(response, address)
        assert len(transport.read(response, 1 << 30)) > 1_000_000
    sent = {record.server: record.headers.get("authorization") for record in hub.requests}
    assert sent == {"hub": "Bearer hf_secret", "cdn": None}
    assert "hf_secret" not in repr(address)


def test_a_card_is_text_and_nothing_else() -> None:
    card = (
        "---\nlicense: mit\n---\n# Title\n\nSome **bold** [link](http://x) ![pic](y.png)<br>`code`\n\n- one\n- two\n\n"
    )
    card += "<div align='center'><script>alert(1)</script>HTML</div>\n\n"
    card += "| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx = 1\n```\n"
    text = plain_text(card)
    assert text.startswith("Title\n\nSome bold link")
    assert "• one\n• two" in text
    assert "x = 1" in text
    assert not any(mark in text for mark in ("license", "**", "http", "<", "---"))


def test_the_card_of_a_repository(hub: HubServer, starter_repository: str) -> None:
    assert "Answers questions about Python." in model_card(Hub(hub.endpoint), starter_repository)
    (hub.folder / starter_repository / "README.md").unlink()
    assert model_card(Hub(hub.endpoint), starter_repository) == ""


def test_the_endpoint_is_the_setting_then_the_variable_then_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert endpoint_of("") == "https://huggingface.co"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example/")
    assert endpoint_of("") == "http://mirror.example"
    assert endpoint_of(" https://other.example/ ") == "https://other.example"


@pytest.mark.parametrize(
    ("endpoint", "warns"),
    [("https://huggingface.co", False), ("http://127.0.0.1:8123", False), ("http://mirror.example", True)],
)
def test_an_unencrypted_mirror_is_warned_of(endpoint: str, warns: bool) -> None:
    assert bool(Hub(endpoint).warning) is warns
