"""What a folder's manifest says was done to it, in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.library.library import scan
from app.library.manifest import FileOrigin, Manifest, alteration, write_manifest
from app.settings import Settings
from app.system.paths import Paths
from tests.real_models import STDLIB_3M

PRUNED = "FFN 768 to 512, refitted"
RECOVERED = "recovered, LoRA, 80,000 tokens"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("", ""),
        (PRUNED, "pruned"),
        (f"{PRUNED}; {RECOVERED}", "pruned and recovered"),
        (RECOVERED, "recovered"),
        (f"{RECOVERED}; 2 of 6 layers left out (1, 2, counted from 0)", "pruned and recovered"),
    ],
)
def test_a_recipe_is_told_in_a_word(recipe: str, words: str) -> None:
    assert alteration(recipe) == words


def test_a_folder_that_was_pruned_is_not_called_the_original(tmp_path: Path) -> None:
    source = Path(shutil.copytree(STDLIB_3M, tmp_path / "in" / "stdlib"))
    pruned = Path(shutil.copytree(source, tmp_path / "in" / "stdlib-ffn512"))
    origin = FileOrigin("a" * 64, 1, parent="../stdlib", recipe=PRUNED)
    write_manifest(pruned, Manifest({file.name: origin for file in pruned.glob("*.safetensors")}))
    found = scan(Paths(tmp_path / "home").ensure(), Settings(model_folders=(str(tmp_path / "in"),)))
    notes = {entry.path: entry.note.split(",")[0] for entry in found if entry.is_folder}
    assert notes == {source: "The original", pruned: "Pruned here"}
    assert [entry.note for entry in found if not entry.is_folder] == [""], "a file can be chatted with as it is"
