"""The settings in force."""

from __future__ import annotations

import dataclasses
import json

import pytest

from app.settings import Settings, Theme, WindowState, load_settings
from app.system.paths import Paths
from workers.protocol import Failure
from workers.settings_store import SettingsStore, WindowStateStore


@pytest.fixture
def store(qapp: object, paths: Paths) -> SettingsStore:
    return SettingsStore(paths.settings)


@pytest.fixture
def said(store: SettingsStore) -> list[object]:
    heard: list[object] = []
    store.changed.connect(heard.append)
    store.failed.connect(heard.append)
    return heard


def test_a_change_is_announced_saved_and_read_again(store: SettingsStore, said: list[object], paths: Paths) -> None:
    store.update(theme=Theme.DARK, context_tokens=2048)
    assert said == [{"theme", "context_tokens"}]
    assert store.current == Settings(theme=Theme.DARK, context_tokens=2048)
    assert store.current == load_settings(paths.settings) == SettingsStore(paths.settings).current


def test_only_what_is_new_is_announced(store: SettingsStore, said: list[object]) -> None:
    store.update(theme=Settings().theme, context_tokens=2048)
    assert said == [{"context_tokens"}]


def test_what_another_program_changed_meanwhile_stays(store: SettingsStore, paths: Paths) -> None:
    other = SettingsStore(paths.settings)
    other.update(context_tokens=2048)
    store.update(theme=Theme.DARK)
    assert load_settings(paths.settings) == Settings(theme=Theme.DARK, context_tokens=2048)


def test_what_the_window_remembers_is_taken_over_from_an_older_settings_file(qapp: object, paths: Paths) -> None:
    old = {"theme": "dark", "last_model": "/m.gguf", "greeted": True, "offered_files": ["/a"], "last_source": 7}
    paths.settings.write_text(json.dumps(old))
    paths.window_state.write_text(json.dumps({"geometry": "cGxhY2U=", "page": 2, "conversation": "c"}))
    state = WindowStateStore(paths.window_state, paths.settings)
    assert state.current == WindowState("cGxhY2U=", 2, "c", ("/a",), "/m.gguf", "", True, True)
    state.update(last_model="/n.gguf", show_performance_panel=False)
    again = WindowStateStore(paths.window_state, paths.settings)
    assert again.current == dataclasses.replace(state.current, last_model="/n.gguf", show_performance_panel=False)
    assert json.loads(paths.settings.read_text()) == old, "an older Bantam can still read it"


def test_nothing_new_is_no_change(store: SettingsStore, said: list[object], paths: Paths) -> None:
    store.update(theme=Settings().theme)
    assert said == []
    assert not paths.settings.exists()


def test_an_unknown_name_is_a_bug(store: SettingsStore) -> None:
    with pytest.raises(TypeError):
        store.update(colour="green")


def test_a_change_that_cannot_be_saved_is_in_force_and_that_is_said(
    store: SettingsStore, said: list[object], paths: Paths
) -> None:
    paths.settings.mkdir()
    store.update(theme=Theme.DARK)
    assert store.current.theme is Theme.DARK
    assert said[0] == {"theme"}
    assert isinstance(said[1], Failure)
    assert "could not be saved" in said[1].sentence
