"""The settings in force."""

from __future__ import annotations

import pytest

from app.settings import Settings, Theme, load_settings
from app.system.paths import Paths
from workers.protocol import Failure
from workers.settings_store import SettingsStore


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
    assert said == [Settings(theme=Theme.DARK, context_tokens=2048)]
    assert store.current == load_settings(paths.settings) == SettingsStore(paths.settings).current == said[0]


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
    assert isinstance(said[0], Settings)
    assert isinstance(said[1], Failure)
    assert "could not be saved" in said[1].sentence
