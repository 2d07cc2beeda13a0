"""A data folder of the version before the layout changed: all of it is read, nothing is lost, nothing asked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.chat.store import ChatStore, load_unsent
from app.engine.machine_record import read_choice
from app.hub.download import download
from app.hub.messages import Download
from app.hub.unfinished import unfinished_downloads
from app.library.manifest import read_manifest
from app.measure.ledger import figures_of
from app.operation import Context
from app.recipe.effort import Work, read_pace
from app.recipe.recipe import begun_recipe, builtin_recipes, read_recipe
from app.settings import Settings, Theme, WindowState, load_settings, load_window_state, set_aside_damaged
from app.system.data_folder import adopt
from app.system.paths import Paths
from tests.hub_server import HubServer
from tests.old_data_folder.make import ARRIVED, CONTENT

MADE = Path(__file__).parent / "home"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    home = Path(shutil.copytree(MADE, tmp_path / "home"))
    for file in home.rglob("*.json"):
        file.write_text(file.read_text("utf-8").replace("@HOME@", json.dumps(str(home))[1:-1]), "utf-8")
    (home / "models" / "you" / "half" / "model.gguf.part").write_bytes(CONTENT[:ARRIVED])
    paths = Paths(home).ensure()
    assert adopt(paths) == ""
    return paths


def test_settings_and_what_the_window_remembered(paths: Paths) -> None:
    assert set_aside_damaged(paths.settings) == ""
    assert load_settings(paths.settings) == replace(
        Settings(), theme=Theme.DARK, context_tokens=2048, model_files=("/models/mine.gguf",)
    )
    assert load_window_state(paths.window_state, paths.settings) == WindowState(
        offered_files=("/ollama/a",),
        last_model="/models/mine.gguf",
        last_source="/models/source",
        show_performance_panel=False,
        greeted=True,
    )


def test_chats_with_their_branches_and_what_was_not_sent(paths: Paths) -> None:
    with ChatStore(paths.chats) as store:
        (summary,) = store.list()
        messages = store.all_messages(summary.id)
        assert summary.title == "Sequences"
        assert [message.content for message in messages] == [
            "What is a list?", "A list is a sequence.", "And a tuple?", "And a set? Ünïcödé 🐓",
        ]  # fmt: skip
        assert messages[2].parent_id == messages[3].parent_id == messages[1].id
        assert store.get(summary.id).system_prompt == "Be brief."
        assert load_unsent(store) == {"": "half a thought", summary.id: "and then"}


def test_small_files(paths: Paths) -> None:
    choice = read_choice(paths.drafts, Path("/models/big.gguf"))
    assert (choice.draft, choice.ratios) == ("/models/small.gguf", {"/models/small.gguf": 1.5})
    assert read_pace(paths.effort, Work.PRUNE).measured
    assert read_recipe(paths.home / "recipe.toml") == builtin_recipes()[0]
    begun = begun_recipe(paths)
    assert begun is not None
    assert (begun.source, begun.recipe) == (paths.models / "me" / "stdlib", builtin_recipes()[0])


def test_the_ledger_finds_the_model_where_it_is_now(paths: Paths) -> None:
    model = paths.models / "me" / "stdlib" / "q4.gguf"
    (measurement,) = figures_of(paths.ledger, [model])[model].measurements
    assert (measurement.kl_mean.value, measurement.top_1.value, measurement.kl_99) == (0.0014, 0.984, 0.02)
    assert (measurement.conditions.text, measurement.conditions.scored_tokens) == ("bundled 1", 4080)


def test_manifests_say_in_the_same_words_how_a_model_was_made(paths: Paths) -> None:
    files = read_manifest(paths.models / "me" / "stdlib").files
    old = json.loads((MADE / "models" / "me" / "stdlib" / "manifest.json").read_text("utf-8"))["files"]
    assert {name: origin.recipe for name, origin in files.items()} == {
        "down.gguf": "",
        "q4.gguf": "Q4_K_M, importance matrix",
        "cut.gguf": "FFN 768 to 512, refitted; Q4_K_M",
    }
    for name, origin in files.items():
        assert (origin.sha256, origin.size_bytes, origin.repository, origin.date, origin.parent, origin.digest) == (
            *(old[name][key] for key in ("sha256", "size_bytes", "repository", "date", "parent")), old[name]["steps"],
        )  # fmt: skip


def test_a_half_finished_download_goes_on_where_it_was(paths: Paths, hub: HubServer) -> None:
    hub.touch("you/half", "model.gguf", CONTENT)
    (one,) = unfinished_downloads(paths)
    assert one.paused
    before = hub.bytes_sent
    download(Download(replace(one.plan, endpoint=hub.endpoint)), Context(paths))
    assert (one.plan.folder / "model.gguf").read_bytes() == CONTENT
    assert hub.bytes_sent - before < len(CONTENT) - ARRIVED + 20_000, "what had arrived was not fetched again"
