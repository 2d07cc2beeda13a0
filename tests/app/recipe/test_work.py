"""A recipe becomes requests: what follows what, what each is called, and what is left to do when it is begun again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.errors import RecipeError
from app.library.manifest import FileOrigin, Manifest, lineage_of, read_manifest, write_manifest
from app.library.provenance import FfnCut, LayerCut
from app.measure.messages import MeasureQuality
from app.prune.messages import Prune, PruneMethod
from app.quantize.messages import Quantize
from app.quantize.outputs import step_of
from app.recipe.messages import FinishModel
from app.recipe.recipe import PruneStep, QuantizeStep, Recipe, RecoverStep
from app.recipe.words import Shape, cuts_of, shape_of
from app.recipe.work import place_for, work_of
from app.recover.messages import Recover
from app.system.paths import default_paths
from tests.real_models import STDLIB_3M

FFN = PruneStep(PruneMethod.FFN, 0.3)
WHOLE = Recipe("whole", (FFN, RecoverStep(budget_tokens=5000, rank=4), QuantizeStep(("Q4_K_M", "Q8_0"))))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STDLIB_3M, tmp_path / "owner" / "stdlib"))


def test_the_whole_way(source: Path) -> None:
    work = work_of(WHOLE, source, source.parent)
    prune, noted, recover, finished, four, eight, measured, also = work.requests
    assert isinstance(prune, Prune)
    assert isinstance(noted, FinishModel)
    assert isinstance(finished, FinishModel)
    assert (prune.source, prune.method) == (source, PruneMethod.FFN)
    assert prune.amount == pytest.approx(1 / 3)  # 768 to 512, as no other multiple of 256 is near
    assert isinstance(recover, Recover)
    assert (recover.model, recover.teacher, recover.rank) == (prune.output, source, 4)
    assert recover.output == work.model == source.parent / "stdlib-ffn512"
    assert prune.output.name.startswith(".stdlib-ffn512.")
    assert noted == FinishModel(source, prune.output, (), noted.digest)
    assert finished == FinishModel(source, recover.output, (prune.output,), finished.digest)
    assert len({noted.digest, finished.digest, ""}) == 3
    assert isinstance(four, Quantize)
    assert isinstance(eight, Quantize)
    assert four == Quantize(work.model, work.model / "stdlib-ffn512-Q4_K_M.gguf", "Q4_K_M", calibrate=True)
    assert not eight.calibrate  # its rounding would be the same
    assert measured == MeasureQuality(four.output, source, speed=True)
    assert also == MeasureQuality(eight.output, source, speed=True)
    assert work.steps == (0, 0, 1, 1, 2, 2, 2, 2)
    assert work.files == (four.output, eight.output)
    assert work.folders[0] == prune.output
    assert source.parent / ".stdlib-ffn512.work" in work.folders
    assert four.output.with_name(four.output.name + ".part") in work.parts


def test_nothing_that_is_there_is_written_over(source: Path) -> None:
    first = work_of(WHOLE, source, source.parent)
    first.model.mkdir()
    second = work_of(WHOLE, source, source.parent)
    assert second.model.name == "stdlib-ffn512-2"
    assert not set(first.folders) & set(second.folders)


def test_begun_again_it_goes_on_after_what_is_there(source: Path) -> None:
    first = work_of(WHOLE, source, source.parent)
    first.folders[0].mkdir()
    again = work_of(WHOLE, source, source.parent)
    assert again.requests == first.requests[1:]
    other = work_of(
        Recipe("other", (PruneStep(PruneMethod.FFN, 0.3, refit=False), *WHOLE.steps[1:])), source, source.parent
    )
    assert isinstance(other.requests[0], Prune)  # the folder that is there was made in another way


def made(folder: Path, digest: str = "") -> None:
    """A folder as a recipe leaves it."""
    shutil.copytree(STDLIB_3M, folder)
    write_manifest(
        folder, Manifest({"model.safetensors": FileOrigin("a" * 64, 1, steps=(FfnCut(768, (512,)),), digest=digest)})
    )


def test_begun_again_after_the_model_it_makes_the_files_that_are_missing(source: Path) -> None:
    first = work_of(WHOLE, source, source.parent)
    finished = first.requests[3]
    assert isinstance(finished, FinishModel)
    made(first.model, finished.digest)
    four, eight, *measured = first.requests[4:]
    again = work_of(WHOLE, source, source.parent)
    assert again.model == first.model
    assert again.requests == (finished, four, eight, *measured)
    assert isinstance(four, Quantize)
    four.output.touch()
    origin = FileOrigin("b" * 64, 0, steps=lineage_of(first.model).then(step_of(four)))
    write_manifest(first.model, read_manifest(first.model).with_file(four.output.name, origin))
    again = work_of(WHOLE, source, source.parent)
    assert again.requests == (finished, eight, *measured), "what is there is measured, and not made twice"
    assert again.files == first.files
    assert "“stdlib-ffn512” is there already" in again.notice
    assert again.then == "makes what is missing (Q8_0)"


def test_a_file_of_that_name_made_in_another_way_is_not_taken_for_its_own(source: Path) -> None:
    first = work_of(WHOLE, source, source.parent)
    finished = first.requests[3]
    assert isinstance(finished, FinishModel)
    made(first.model, finished.digest)
    first.files[0].touch()
    with pytest.raises(RecipeError, match="made in another way"):
        work_of(WHOLE, source, source.parent)


def test_what_lies_in_the_way_is_named_before_anything_is_made(source: Path) -> None:
    assert work_of(WHOLE, source, source.parent).notice == ""
    made(source.parent / "stdlib-ffn512")
    assert "this one becomes “stdlib-ffn512-2”" in work_of(WHOLE, source, source.parent).notice


def test_rounds_are_written_out_with_a_short_recovery_between(source: Path) -> None:
    step = PruneStep(PruneMethod.FFN, 0.6, width_multiple=32, rounds=3, round_tokens=2000)
    work = work_of(Recipe("rounds", (step, RecoverStep(rank=4))), source, source.parent)
    asked = [r for r in work.requests if not isinstance(r, FinishModel)]
    assert [type(r) for r in asked] == [Prune, Recover, Prune, Recover, Prune, Recover]
    left = 768.0
    widths = [left := left * (1 - request.amount) for request in asked if isinstance(request, Prune)]
    assert widths == pytest.approx([608, 448, 320])
    short = [request for request in asked if isinstance(request, Recover)]
    assert [request.budget_tokens for request in short] == [2000, 2000, 80_000]
    assert {request.rank for request in short} == {4}
    assert all(len(r.between) <= 1 for r in work.requests if isinstance(r, FinishModel))
    assert len({folder for folder in work.folders if folder.suffix != ".work"}) == 5


def test_rounds_between_which_nothing_changes_are_left_out() -> None:
    cuts = cuts_of(PruneStep(PruneMethod.FFN, 0.6, rounds=5), Shape(2, 768, 2, 2))
    assert [cut.shape.ffn for cut in cuts] == [512, 256]


def test_zeros_come_along_a_cubic_schedule() -> None:
    cuts = cuts_of(PruneStep(PruneMethod.WANDA, 0.5, rounds=2), Shape(2, 768, 2, 2))
    assert [cut.amount for cut in cuts] == pytest.approx([0.4375, 0.5])


@pytest.mark.parametrize(
    ("step", "shape", "after"),
    [
        (PruneStep(PruneMethod.FFN, 0.01), Shape(2, 768, 2, 2), Shape(2, 512, 2, 2)),
        (PruneStep(PruneMethod.FFN, 0.99), Shape(2, 768, 2, 2), Shape(2, 256, 2, 2)),
        (PruneStep(PruneMethod.FFN, 0.5, width_multiple=64), Shape(2, 1000, 2, 2), Shape(2, 512, 2, 2)),
        (PruneStep(PruneMethod.LAYERS, 0.25), Shape(6, 768, 2, 2), Shape(4, 768, 2, 2)),
        (PruneStep(PruneMethod.LAYERS, 0.99), Shape(6, 768, 2, 2), Shape(1, 768, 2, 2)),
        (PruneStep(PruneMethod.KV_GROUPS, 0.5), Shape(2, 768, 4, 2), Shape(2, 768, 2, 2)),
    ],
)
def test_shares_become_counts(step: PruneStep, shape: Shape, after: Shape) -> None:
    (cut,) = cuts_of(step, shape)
    assert cut.shape == after
    assert 0 < cut.amount < 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (PruneStep(PruneMethod.FFN, 0.5), "no narrower width is a multiple of 256"),
        (PruneStep(PruneMethod.LAYERS, 0.5), "one layer"),
        (PruneStep(PruneMethod.KV_GROUPS, 0.5), "one group of heads"),
    ],
)
def test_where_nothing_can_be_taken_it_is_said(step: PruneStep, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        cuts_of(step, Shape(1, 256, 1, 2))


def test_shape_of_a_folder() -> None:
    assert shape_of(STDLIB_3M) == Shape(layers=2, ffn=768, kv_groups=2, heads_a_group=2)


def test_only_quantizing_is_a_recipe_too(source: Path) -> None:
    work = work_of(Recipe("q", (QuantizeStep(("Q4_0",)),)), source, source.parent)
    assert work.model == source
    assert [type(request) for request in work.requests] == [Quantize, MeasureQuality]
    work.files[0].touch()
    with pytest.raises(RecipeError, match="there already"):
        work_of(Recipe("q", (QuantizeStep(("Q4_0",)),)), source, source.parent)


def test_a_pruned_model_is_taught_by_and_compared_with_the_original(source: Path) -> None:
    pruned = Path(shutil.copytree(source, source.parent / "pruned"))
    origin = FileOrigin("a" * 64, 1, parent="../stdlib", steps=(LayerCut(8, (6, 7)),))
    write_manifest(pruned, Manifest({"model.safetensors": origin}))
    requests = work_of(WHOLE, pruned, source.parent).requests
    assert {request.teacher for request in requests if isinstance(request, Recover)} == {source}
    assert {request.reference for request in requests if isinstance(request, MeasureQuality)} == {source}
    shutil.rmtree(source)  # gone: then what is there is all that can be compared with
    assert {r.teacher for r in work_of(WHOLE, pruned, source.parent).requests if isinstance(r, Recover)} == {pruned}


def test_several_cuts_are_all_in_the_name(source: Path) -> None:
    steps = (PruneStep(PruneMethod.LAYERS, 0.5), FFN, PruneStep(PruneMethod.WANDA, 0.5))
    assert work_of(Recipe("a", steps), source, source.parent).model.name == "stdlib-1layers-ffn512-50pct-zeros"
    mixed = (PruneStep(PruneMethod.FFN, 0.3, per_layer=True),)
    assert work_of(Recipe("a", mixed), source, source.parent).model.name == "stdlib-ffn512mixed"


def test_the_place_is_beside_the_source_where_that_may_be_written_to(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = default_paths()
    assert place_for(source, paths) == source.parent
    monkeypatch.setattr("os.access", lambda *_: False)
    assert place_for(source, paths) == paths.models / "owner"


def test_a_folder_that_is_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["X"]}))
    with pytest.raises(Exception, match="does not say"):
        work_of(WHOLE, tmp_path, tmp_path)
