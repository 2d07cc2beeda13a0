"""llama.cpp's quantizer as it is called here: exact sizes before, the reason where it fails."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.engine.llama import LOG, Model, ModelOptions
from app.errors import QuantizeError
from app.library.tensor_types import NEEDS_IMPORTANCE
from app.operation import Context
from app.quantize.messages import TensorOverride
from app.quantize.native import Options, planned, quantize_file
from tests.real_models import STDLIB_3M


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small real model in bf16."""
    file = tmp_path_factory.mktemp("native") / "source.gguf"
    return convert(Convert(STDLIB_3M, file), Context()).path


def make(source: Path, output: Path, kind: str, options: Options | None = None) -> dict[str, gguf.ReaderTensor]:
    quantize_file(source, output, kind, options or Options(), lambda _done, _total: None)
    return {tensor.name: tensor for tensor in gguf.GGUFReader(output).tensors}


def importance_of(source: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(source).tensors}
    return {name: rng.random(int(t.shape[0]), np.float32) for name, t in tensors.items() if name.startswith("blk.")}


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K_M", "Q5_K_S", "Q6_K", "Q8_0", "IQ4_XS", "F16"])
def test_the_plan_is_what_is_made(source: Path, tmp_path: Path, kind: str) -> None:
    plan = planned(source, kind)
    made = make(source, tmp_path / "m.gguf", kind)
    assert plan.types == {name: tensor.tensor_type.name for name, tensor in made.items()}
    start = int(gguf.GGUFReader(tmp_path / "m.gguf").data_offset)
    assert plan.data_bytes == (tmp_path / "m.gguf").stat().st_size - start
    assert sum(plan.read_bytes.values()) == sum(int(tensor.n_bytes) for tensor in made.values())


def test_an_importance_matrix_changes_the_values_and_not_the_size(source: Path, tmp_path: Path) -> None:
    plain = make(source, tmp_path / "plain.gguf", "Q4_K_M")
    weighed = make(source, tmp_path / "weighed.gguf", "Q4_K_M", Options(importance=importance_of(source)))
    name = "blk.0.ffn_up.weight"
    assert not np.array_equal(plain[name].data, weighed[name].data)
    assert plain[name].data.shape == weighed[name].data.shape


@pytest.mark.parametrize("kind", sorted(NEEDS_IMPORTANCE))
def test_which_types_need_an_importance_matrix(source: Path, tmp_path: Path, kind: str) -> None:
    with pytest.raises(QuantizeError, match=r"importance matrix|imatrix"):
        make(source, tmp_path / "m.gguf", kind)


_QUICK = ("IQ3_XXS", "Q2_K_S")
"""The others search a long list of codes for each few weights: up to 13 s for this model."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in _QUICK else pytest.mark.wide) for kind in sorted(NEEDS_IMPORTANCE)]
)
def test_with_one_they_are_made(source: Path, tmp_path: Path, kind: str) -> None:
    assert make(source, tmp_path / "m.gguf", kind, Options(importance=importance_of(source)))


def test_types_of_single_tensors(source: Path, tmp_path: Path) -> None:
    options = Options(overrides=(TensorOverride("ffn_down", "q8_0"),), embedding_type="F16")
    made = make(source, tmp_path / "m.gguf", "Q4_0", options)
    assert made["blk.1.ffn_down.weight"].tensor_type.name == "Q8_0"
    assert made["blk.1.ffn_up.weight"].tensor_type.name == "Q4_0"
    assert made["token_embd.weight"].tensor_type.name == "F16"


def test_the_number_of_threads_changes_nothing(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "one.gguf", "Q4_K_M", Options(threads=1))
    make(source, tmp_path / "two.gguf", "Q4_K_M", Options(threads=2))
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


def test_progress_counts_every_tensor(source: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    quantize_file(source, tmp_path / "m.gguf", "Q4_0", Options(), lambda done, total: said.append((done, total)))
    assert said == [(n, 20) for n in range(20)]


def test_the_engines_own_log_listens_again(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "m.gguf", "Q4_0")
    LOG.clear()
    Model(tmp_path / "m.gguf", ModelOptions(header_only=True), lambda _share: True).close()
    assert LOG.lines


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("Q9_X", Options(), "“Q9_X” is not a type to quantize to"),
        ("Q4_0", Options(output_type="nonsense"), "“nonsense” is not a type of a tensor"),
        ("Q4_0", Options(overrides=(TensorOverride("(", "q8_0"),)), "not a regular expression"),
    ],
)
def test_what_cannot_be_is_refused(source: Path, tmp_path: Path, kind: str, options: Options, sentence: str) -> None:
    with pytest.raises(QuantizeError) as caught:
        make(source, tmp_path / "m.gguf", kind, options)
    assert sentence in caught.value.sentence


def test_a_quantized_source_is_refused_unless_it_is_allowed(source: Path, tmp_path: Path) -> None:
    make(source, tmp_path / "eight.gguf", "Q8_0")
    with pytest.raises(QuantizeError, match="requantizing"):
        make(tmp_path / "eight.gguf", tmp_path / "four.gguf", "Q4_0")
    assert make(tmp_path / "eight.gguf", tmp_path / "four.gguf", "Q4_0", Options(requantize=True))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "rubbish.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(QuantizeError):
        planned(tmp_path / "rubbish.gguf", "Q4_0")
