"""Judging models of the local hub: a header by range requests, a real child that plans the buffers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import shiboken6
from pytestqt.qtbot import QtBot

from app.engine.messages import KvType
from app.fit.judgement import MADE_TYPES, Judgement, made_key
from app.hub.repository import Repository, open_repository
from app.hub.transport import Hub
from app.system.paths import STARTER_MODEL, Paths
from tests.app.hub.gguf_headers import entry, llama_8b, number, text, write
from tests.hub_server import Fault, HubServer
from tests.hub_server.fixtures import hub, starter_repository
from tests.real_models import STDLIB_3M
from tests.workers.conftest import TIMEOUT_MS
from workers.fits import Fits
from workers.protocol import Failure
from workers.tasks import TaskRunner

__all__ = ["hub", "starter_repository"]


class Watched:
    def __init__(self, paths: Paths, hub: HubServer, qtbot: QtBot) -> None:
        self.hub, self.qtbot = hub, qtbot
        self.tasks = TaskRunner()
        self.fits = Fits(paths, self.tasks, lambda: Hub(hub.endpoint))
        self.judged: dict[str, Judgement] = {}
        self.failures: list[tuple[str, str, Failure]] = []
        self.fits.judged.connect(lambda _repository, one: self.judged.update({one.key: one}))
        self.fits.failed.connect(lambda *failure: self.failures.append(failure))

    def open(self, repository: str) -> Repository:
        return open_repository(Hub(self.hub.endpoint), repository)

    def wait(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=TIMEOUT_MS)

    def close(self) -> None:
        self.fits.close()
        self.tasks.close()
        shiboken6.delete(self.fits)


@pytest.fixture
def watched(paths: Paths, hub: HubServer, qtbot: QtBot) -> Iterator[Watched]:
    watched = Watched(paths, hub, qtbot)
    yield watched
    watched.close()


def test_a_remote_file_is_judged_without_being_downloaded(watched: Watched, starter_repository: str) -> None:
    watched.fits.judge_all(watched.open(starter_repository))
    watched.wait(lambda: bool(watched.judged))
    judged = watched.judged[STARTER_MODEL.name]
    assert judged.curve is not None
    assert judged.curve.need(2048, KvType.F16).kv_bytes > judged.curve.need(2048, KvType.Q8_0).kv_bytes > 0
    assert judged.reads is not None
    assert watched.hub.bytes_sent < STARTER_MODEL.stat().st_size / 4


def test_one_header_is_read_for_all_quantizations(watched: Watched, hub: HubServer) -> None:
    for label in ("Q4_0", "Q5_0", "Q8_0"):
        llama_8b(hub.folder / "big" / "llama" / f"llama-{label}.gguf", vocabulary=1000, merges=100)
    hub.touch("big/llama", ".hub.json", b'{"quick_hash": true}')
    repository = watched.open("big/llama")
    before = len(hub.requests)
    watched.fits.judge_all(repository)
    watched.wait(lambda: len(watched.judged) == 3)
    assert len({record.path.partition("?")[0] for record in hub.requests[before:] if record.server == "cdn"}) == 1
    assert sorted(one.derived_from for one in watched.judged.values()) == ["", "Q4_0", "Q4_0"]


def test_the_verdict_comes_before_the_whole_curve(watched: Watched, starter_repository: str) -> None:
    points: list[int] = []
    watched.fits.judged.connect(lambda _repository, one: points.append(len(one.curve.points)))
    watched.fits.judge_all(watched.open(starter_repository))
    watched.wait(lambda: len(points) == 2)
    assert points[0] < points[1]


def test_a_header_that_the_engine_refuses_is_a_reason(watched: Watched, hub: HubServer) -> None:
    entries = [entry("general.architecture", 8, text("llama")), number("llama.block_count", 2)]
    entries += [number("llama.context_length", 512), number("llama.embedding_length", 64)]
    write(hub.folder / "bad" / "model" / "m-Q4_0.gguf", entries, [("token_embd.weight", (64, 32), 0)])
    watched.fits.judge_all(watched.open("bad/model"))
    watched.wait(lambda: bool(watched.judged))
    judged = watched.judged["m-Q4_0.gguf"]
    assert judged.curve is None
    assert "could not load" in judged.problem


def test_a_header_that_cannot_be_read_fails_with_a_sentence(
    watched: Watched, hub: HubServer, starter_repository: str
) -> None:
    repository = watched.open(starter_repository)
    hub.add_fault(Fault.DROP, at=0.0, path="*.gguf", times=-1)
    watched.fits.judge_all(repository)
    watched.wait(lambda: bool(watched.failures))
    assert watched.failures[0][2].sentence.endswith(".")
    assert watched.judged == {}


def test_another_repository_cuts_off_the_last(watched: Watched, hub: HubServer, starter_repository: str) -> None:
    repository = watched.open(starter_repository)
    hub.add_fault(Fault.STALL, at=0.0, path="*.gguf")
    watched.fits.judge_all(repository)
    watched.wait(lambda: any(record.server == "cdn" for record in hub.requests))
    watched.fits.judge_all(repository)
    watched.wait(lambda: bool(watched.judged))
    assert watched.failures == []


def test_a_child_that_dies_is_a_reason_and_the_next_question_has_a_new_one(
    watched: Watched, starter_repository: str
) -> None:
    repository = watched.open(starter_repository)
    watched.fits.warm_up()
    watched.wait(lambda: bool(psutil.Process().children()))
    for child in psutil.Process().children():
        child.suspend()
    watched.fits.judge_all(repository)
    watched.wait(lambda: bool(watched.fits._waiting))
    for child in psutil.Process().children():
        child.kill()
    watched.wait(lambda: bool(watched.judged))
    assert "cannot plan" in watched.judged[STARTER_MODEL.name].problem
    watched.judged.clear()
    watched.fits.judge_all(repository)
    watched.wait(lambda: bool(watched.judged))
    assert watched.judged[STARTER_MODEL.name].curve is not None


def original(hub: HubServer, **changes: object) -> str:
    """A repository of original weights; `changes` are to its configuration."""
    folder = Path(shutil.copytree(STDLIB_3M, hub.folder / "orig" / "stdlib"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return "orig/stdlib"


def test_original_weights_are_judged_as_what_can_be_made_of_them(watched: Watched, hub: HubServer) -> None:
    watched.fits.judge_all(watched.open(original(hub)))
    watched.wait(lambda: len(watched.judged) == len(MADE_TYPES))
    judged = [watched.judged[made_key("config.json", kind)] for kind in MADE_TYPES]
    sizes = [one.made.size_bytes for one in judged if one.made]
    assert sizes == sorted(sizes)
    assert all(one.curve is not None and one.curve.need(2048, KvType.Q8_0).kv_bytes > 0 for one in judged)
    assert hub.bytes_sent < (STDLIB_3M / "model.safetensors").stat().st_size / 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2"}, "mamba2"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_the_reason(
    watched: Watched, hub: HubServer, changes: dict[str, object], words: str
) -> None:
    watched.fits.judge_all(watched.open(original(hub, **changes)))
    watched.wait(lambda: bool(watched.judged))
    (judged,) = watched.judged.values()
    assert judged.made is not None
    assert judged.made.refused
    assert words in judged.problem.lower()


def test_original_weights_that_cannot_be_read_fail_with_a_sentence(watched: Watched, hub: HubServer) -> None:
    repository = watched.open(original(hub))
    hub.add_fault(Fault.DROP, at=0.0, path="*.safetensors", times=-1)
    watched.fits.judge_all(repository)
    watched.wait(lambda: bool(watched.failures))
    assert watched.judged == {}
