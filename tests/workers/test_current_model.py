"""What is asked of the engine, as the settings say; and the context that would fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from app.engine.messages import KvType, LoadModel, MemoryNeed, ThreadCounts, TooLarge
from app.settings import Settings
from tests.ui.fake_engine import SAMPLE_MODEL, FakeEngine
from workers.current_model import CurrentModel, load_request, smaller_context
from workers.settings_store import SettingsStore

GB = 10**9
PATH = Path("/models/a.gguf")


@pytest.fixture
def current(engine: FakeEngine, settings: SettingsStore) -> CurrentModel:
    engine.hold = True
    return CurrentModel(engine, settings)


def last_request(engine: FakeEngine) -> LoadModel:
    return [arguments[0] for name, arguments in engine.calls if name == "load"][-1]


def test_request_carries_the_settings() -> None:
    settings = Settings(context_tokens=2048, kv_type=KvType.Q8_0, decode_threads=3, kv_disk_limit_gb=1.5)
    request = load_request(PATH, settings)
    assert (request.context_tokens, request.kv_type, request.threads) == (2048, KvType.Q8_0, ThreadCounts(3, 0))
    assert request.kv_disk_limit_bytes == 1_500_000_000
    assert not request.load_anyway


def test_load_anyway_is_the_same_request_but_for_the_check(current: CurrentModel, engine: FakeEngine) -> None:
    current.load(PATH)
    first = last_request(engine)
    current.load_anyway()
    assert last_request(engine) == dataclasses.replace(first, load_anyway=True)


def test_smaller_context_is_asked_for(current: CurrentModel, engine: FakeEngine) -> None:
    current.load(PATH)
    current.load_with_context(1024)
    assert last_request(engine).context_tokens == 1024


def test_needs_reload_only_for_what_the_load_depends_on(
    current: CurrentModel, engine: FakeEngine, settings: SettingsStore
) -> None:
    assert not current.needs_reload
    current.load(PATH)
    engine.step()
    settings.update(target_ms_per_token=100, kv_disk_limit_gb=1.0)
    assert not current.needs_reload
    settings.update(kv_type=KvType.Q4_0)
    assert current.needs_reload
    current.reload()
    engine.step()
    assert not current.needs_reload


def test_load_anyway_does_not_count_as_another_setting(current: CurrentModel, engine: FakeEngine) -> None:
    current.load(PATH)
    current.load_anyway()
    engine.step()
    assert not current.needs_reload


def test_unload_forgets_the_request(current: CurrentModel, engine: FakeEngine) -> None:
    current.load(SAMPLE_MODEL.path)
    current.unload()
    assert engine.calls[-1] == ("unload", ())
    assert current.request is None


@pytest.mark.parametrize(
    ("available_gb", "asked", "offered"),
    [
        (8.6, 4096, 1280),  # 8.6 - 7.6 - 0.5 - 0.1 = 0.4 of 1.1 GB
        (8.2, 4096, 0),  # the weights and buffers alone take it all
        (20.0, 4096, 0),  # it was refused for another reason: no smaller context helps
        (8.6, 0, 0),  # the model's own context was asked for: its KV cache is of an unknown length
    ],
)
def test_smaller_context(available_gb: float, asked: int, offered: int) -> None:
    need = MemoryNeed(7_600_000_000, 1_100_000_000, 500_000_000)
    question = TooLarge(PATH, need, int(available_gb * GB), "Too large.")
    assert smaller_context(question, asked) == offered
