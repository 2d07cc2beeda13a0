"""What is noted of a folder that was made in several steps, and what stays of the steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import ModelFileError
from app.library.library import ModelEntry, scan
from app.library.manifest import FileOrigin, Manifest, lineage_of, origin_of, original_of, write_manifest
from app.library.provenance import FfnCut, LayerCut, ProvenanceStep, Recovery
from app.library.verify import sha256_of
from app.measure.families import families, reference_for
from app.operation import Context
from app.quantize.messages import Quantize
from app.quantize.quantize import quantize
from app.recipe.messages import FinishModel
from app.recipe.steps import finish_model
from app.settings import Settings
from app.system.paths import Paths, default_paths
from tests.real_models import STDLIB_3M

NARROWER, RECOVERED = FfnCut(768, (512,)), Recovery("lora", 80_000)


@pytest.fixture
def paths() -> Paths:
    return default_paths().ensure()


@pytest.fixture
def source(paths: Paths) -> Path:
    return Path(shutil.copytree(STDLIB_3M, paths.models / "owner" / "stdlib"))


def made(source: Path, name: str, *steps: ProvenanceStep, of: str = "../stdlib") -> Path:
    """A folder as an operation leaves it."""
    folder = Path(shutil.copytree(STDLIB_3M, source.with_name(name)))
    size = (folder / "model.safetensors").stat().st_size
    row = FileOrigin("a" * 64, size, parent=of, steps=steps)
    write_manifest(folder, Manifest({"model.safetensors": row}))
    return folder


def said(folder: Path) -> tuple[str, str, bool]:
    origin = origin_of(folder / "model.safetensors")
    assert origin is not None
    return origin.parent, origin.recipe, origin.altered


def test_all_steps_are_in_the_words_and_what_was_between_goes(source: Path) -> None:
    pruned = made(source, ".between", NARROWER)
    model = made(source, "model", RECOVERED, of="../.between")
    finish_model(FinishModel(source, model, (pruned,)), Context())
    assert said(model) == ("../stdlib", "FFN 768 to 512, refitted; recovered, LoRA, 80,000 tokens", True)
    assert not pruned.exists()
    finish_model(FinishModel(source, model, (pruned,), "0123"), Context())  # begun again after a kill
    origin = origin_of(model / "model.safetensors")
    assert origin is not None
    assert origin.digest == "0123", "by which the same recipe finds it"
    assert said(model)[1] == "FFN 768 to 512, refitted; recovered, LoRA, 80,000 tokens"


def test_words_that_are_there_already_are_not_said_twice(source: Path) -> None:
    pruned = made(source, ".between", NARROWER)
    model = made(source, "model", NARROWER, RECOVERED)
    finish_model(FinishModel(source, model, (pruned,)), Context())
    assert said(model)[1] == "FFN 768 to 512, refitted; recovered, LoRA, 80,000 tokens"


def test_a_model_pruned_twice_is_of_the_first_source(source: Path) -> None:
    first = made(source, "first", LayerCut(2, (1,)))
    finish_model(FinishModel(source, first, ()), Context())
    second = made(source, "second", NARROWER, of="../first")
    finish_model(FinishModel(first, second, ()), Context())
    both = "1 of 2 layers left out (1, counted from 0); FFN 768 to 512, refitted"
    assert said(second) == ("../stdlib", both, True)
    assert original_of(second).samefile(source)
    finish_model(FinishModel(first, second, ()), Context())
    assert said(second)[1] == both


def test_a_folder_without_a_manifest_gets_one(source: Path) -> None:
    model = Path(shutil.copytree(STDLIB_3M, source.with_name("model")))
    finish_model(FinishModel(source, model, ()), Context())
    origin = origin_of(model / "model.safetensors")
    assert origin is not None
    assert origin.sha256 == sha256_of(model / "model.safetensors", lambda _count: None)


def test_a_model_that_is_not_there_says_so(source: Path) -> None:
    with pytest.raises(ModelFileError, match="is not there"):
        finish_model(FinishModel(source, source.with_name("nothing"), ()), Context())


def test_a_downloaded_folder_has_no_lineage(source: Path) -> None:
    assert lineage_of(source).parent == source
    assert lineage_of(source).steps == ()
    assert original_of(source) == source


def test_a_pruned_model_and_its_files_stand_under_their_source(paths: Paths, source: Path) -> None:
    model = made(source, "stdlib-ffn512", NARROWER)
    finish_model(FinishModel(source, model, ()), Context())
    kind = quantize(Quantize(model, model / "small.gguf", "Q4_K_M"), Context())
    assert kind.recipe == "FFN 768 to 512, refitted; Q4_K_M"
    full = quantize(Quantize(model, model / "full.gguf", "BF16"), Context()).path
    plain = convert(Convert(source, source / "plain.gguf"), Context()).path
    shutil.copy(plain, source / "alone.gguf")
    found = families(scan(paths, Settings()), {})
    family = next(one for one in found if one.source.entry.path == source)
    rows = {row.entry.path: row for row in family.variants}
    assert set(rows) == {model, kind.path, full}
    assert rows[kind.path].recipe == "FFN 768 to 512, refitted; Q4_K_M"
    assert rows[kind.path].short_recipe == "FFN 512 Q4_K_M"
    assert rows[model].short_recipe == "FFN 512"
    # Its own 16-bit file is no reference: what the pruning cost would not be seen.
    assert reference_for(kind.path, found) == source


def test_the_files_stay_in_the_family_without_the_folders_weights(paths: Paths, source: Path) -> None:
    model = made(source, "stdlib-ffn512", NARROWER)
    finish_model(FinishModel(source, model, ()), Context())
    quantize(Quantize(model, model / "small.gguf", "Q4_0"), Context())
    (model / "model.safetensors").unlink()
    (file,) = (entry for entry in scan(paths, Settings()) if entry.path.name == "small.gguf")
    assert isinstance(file, ModelEntry)
    assert file.parent == source
    assert file.is_altered
