"""The list of tensors and one of them, of files and folders; what is wrong with them is a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from app.errors import AppError
from app.inspect.inspection import look_at_tensor, look_inside
from app.inspect.messages import LookAtTensor, LookInside, TensorLook
from app.inspect.tensors import open_tensors
from app.operation import Context
from app.system.paths import STARTER_MODEL
from tests.app.inspect.models import PLANTED, normal, planted, write_gguf
from tests.real_models import STDLIB_3M

DOWN = "blk.0.ffn_down.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tensors = {
        DOWN: planted(),
        "blk.0.attn_norm.weight": np.ones(512, np.float32),
        "blk.1.attn_q.weight": normal(64, 96),
    }
    return write_gguf(tmp_path / "model.gguf", tensors)


def look(model: Path, tensor: str = DOWN, *, inputs: bool = False) -> TensorLook:
    return look_at_tensor(LookAtTensor(model, tensor, inputs=inputs), Context())


def test_tensors_of_a_file_are_listed_rows_first(model: Path) -> None:
    rows = look_inside(LookInside(model), Context()).tensors
    assert [(row.name, row.shape, row.type, row.block) for row in rows] == [
        (DOWN, (96, 512), "F32", 0),
        ("blk.0.attn_norm.weight", (512,), "F32", 0),
        ("blk.1.attn_q.weight", (64, 96), "F32", 1),
    ]
    assert rows[0].size_bytes == 96 * 512 * 4


def test_tensors_of_a_folder_are_listed() -> None:
    rows = {row.name: row for row in look_inside(LookInside(STDLIB_3M), Context()).tensors}
    row = rows["model.layers.1.mlp.down_proj.weight"]
    assert (row.shape, row.type, row.block) == ((256, 768), "BF16", 1)
    assert rows["model.norm.weight"].block == -1


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_weights_of_every_type_are_read(tmp_path: Path, kind: str) -> None:
    weights = normal(32, 128)
    path = write_gguf(tmp_path / "m.gguf", {DOWN: weights}, kind)
    read = open_tensors(path)[DOWN].rows_at(np.array([0, 1, 5, 6, 31]))
    assert read.shape == (5, 128)
    np.testing.assert_allclose(read, weights[[0, 1, 5, 6, 31]], atol=0.01)


def test_a_tensor_from_all_sides(model: Path) -> None:
    found = look(model)
    assert found.histogram.read == 96 * 512
    assert sorted(channel.number for channel in found.pictures[0].outliers) == sorted(PLANTED)
    assert {error.name for error in found.errors} >= {"Q4_K", "Q8_0", "k-means, 16 values"}
    assert found.notes == ()


def test_a_vector_has_a_histogram_and_no_errors(model: Path) -> None:
    found = look(model, "blk.0.attn_norm.weight")
    assert found.errors == ()
    assert found.pictures == ()
    assert "kept as it is" in found.notes[0]


def test_a_large_tensor_is_sampled_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.inspect.inspection.HISTOGRAM_WEIGHTS", 64 * 256)
    monkeypatch.setattr("app.inspect.inspection.ERROR_WEIGHTS", 16 * 256)
    found = look(write_gguf(tmp_path / "m.gguf", {DOWN: normal(128, 256)}))
    assert found.histogram.read == 64 * 256
    assert "64 of its 128 rows were read" in found.notes[0]
    assert "16 of its 128 rows" in found.notes[1]
    assert all(error.rmse > 0 for error in found.errors)


def test_a_quantized_tensor_says_what_its_errors_are(tmp_path: Path) -> None:
    found = look(write_gguf(tmp_path / "m.gguf", {DOWN: normal(32, 256)}, "Q8_0"))
    assert "stored as Q8_0 already" in found.notes[0]
    assert next(error for error in found.errors if error.name == "Q8_0").exact


def test_values_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    weights = normal(16, 256)
    weights[2, 3] = np.nan
    found = look(write_gguf(tmp_path / "m.gguf", {DOWN: weights}))
    assert found.errors == ()
    assert "1 of the weights read are no numbers" in found.notes[0]


def test_what_flows_into_a_tensor_of_a_real_model() -> None:
    plain, found = look(STARTER_MODEL), look(STARTER_MODEL, inputs=True)
    assert [picture.measure for picture in plain.pictures] == ["weights"]
    assert [picture.measure for picture in found.pictures] == ["weights", "inputs"]
    assert found.pictures[1].channels == 1536
    assert found.pictures[1].found > 0, (
        "FFN neurons that fire much more than the median are there in every trained model"
    )


def test_an_importance_matrix_beside_the_model_is_used(tmp_path: Path) -> None:
    from app.quantize.importance_file import Sums, write_importance

    model = write_gguf(tmp_path / "m.gguf", {DOWN: normal(32, 256)})
    squares = np.ones((1, 256))
    squares[0, 9] = 900.0
    write_importance(tmp_path / "m.imatrix.gguf", {DOWN: Sums(squares, np.array([1]))}, "text", 1, 32, {})
    found = look(model)
    assert [channel.number for channel in found.pictures[1].outliers] == [9]
    assert "m.imatrix.gguf" in found.notes[-1]


def test_trouble_is_a_sentence(model: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.gguf"
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04" + bytes(100))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:-5000])
    folder = shutil.copytree(STDLIB_3M, tmp_path / "folder")
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.truncate(1_000_000)
    for path, words in ((gone, "not there any more"), (other, "not a GGUF"), (cut, "cut off"), (folder, "cut off")):
        with pytest.raises(AppError, match=words) as caught:
            look_inside(LookInside(path), Context())
        assert caught.value.hint
    empty = write_gguf(tmp_path / "empty.gguf", {DOWN: np.empty((4, 0), np.float32), "a": normal(2, 64)})
    with pytest.raises(AppError, match="has no weights"):
        look(empty)
    with pytest.raises(AppError, match="no tensor named"):
        look(model, "blk.7.attn_q.weight")
