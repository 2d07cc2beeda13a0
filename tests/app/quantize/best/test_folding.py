"""Moving scales between weights changes nothing in what any architecture computes, and takes outliers away."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.operation import Context
from app.quantize.best import best_quantize
from app.quantize.best.best_quantize import Fold, choose, fold_file, folds_of
from app.quantize.best.inputs import Columns
from tests.app.convert.logits import kl, of_llama_cpp
from tests.app.convert.small_models import ARCHITECTURES, VOCABULARY, make

TOKENS = [int(n) for n in np.random.default_rng(3).integers(4, VOCABULARY, 96)]


def columns_of(size: int, outliers: tuple[int, ...] = ()) -> Columns:
    rows = np.random.default_rng(size).normal(size=(64, size))
    rows[:, list(outliers)] *= 50
    absolute, squares = np.abs(rows).sum(axis=0), np.square(rows).sum(axis=0)
    return Columns(absolute, squares, len(rows), [rows.astype(np.float16)])


def statistics_of(file: Path) -> dict[str, Columns]:
    shapes = {tensor.name: tensor.shape for tensor in gguf.GGUFReader(file).tensors}
    return {name: columns_of(int(shape[0])) for name, shape in shapes.items() if len(shape) == 2}


def some_exponents(_weights: object, columns: Columns, *, symmetric: bool) -> np.ndarray:
    return np.random.default_rng(5).integers(-3, 4, len(columns.absolute)).astype(np.int32)


@pytest.mark.parametrize("kind", ["llama-biased", "qwen2", "qwen3", "phi3", "gemma2", "granite", "gpt2", "stablelm"])
def test_the_model_computes_the_same(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind in ARCHITECTURES
    folder = make(kind, tmp_path / "model")
    file = convert(Convert(folder, tmp_path / "m.gguf"), Context()).path
    before = of_llama_cpp(file, TOKENS)
    monkeypatch.setattr(best_quantize, "choose", some_exponents)
    changed = fold_file(file, statistics_of(file), symmetric=True)
    assert changed == 2 * {"gpt2": 2, "stablelm": 3}.get(kind, 3)
    assert kl(before, of_llama_cpp(file, TOKENS)) < 1e-6


def test_a_division_alone_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = convert(Convert(make("llama", tmp_path / "model"), tmp_path / "m.gguf"), Context()).path
    before = of_llama_cpp(file, TOKENS)
    monkeypatch.setattr(best_quantize, "choose", some_exponents)
    monkeypatch.setattr(best_quantize, "_divide", lambda _tensor, _exponents: None)
    fold_file(file, statistics_of(file), symmetric=True)
    assert kl(before, of_llama_cpp(file, TOKENS)) > 1e-3


def test_one_norm_for_both_halves_of_a_layer_is_left_alone() -> None:
    parallel = {"blk.0.attn_norm.weight": (8,), "blk.0.attn_q.weight": (8, 8), "blk.0.ffn_up.weight": (8, 16)}
    assert folds_of(parallel) == []
    serial = parallel | {"blk.0.ffn_norm.weight": (8,)}
    assert Fold(("blk.0.attn_norm.weight",), ("blk.0.attn_q.weight",)) in folds_of(serial)


def test_without_a_gate_nothing_moves_through_the_activation() -> None:
    shapes = {"blk.0.ffn_up.weight": (8, 16), "blk.0.ffn_down.weight": (16, 8)}
    assert folds_of(shapes) == []
    assert folds_of(shapes | {"blk.0.ffn_gate.weight": (8, 16)})
    assert folds_of(shapes | {"blk.0.ffn_up.weight": (8, 32)})


def test_outliers_are_moved_and_only_they() -> None:
    weights = np.random.default_rng(1).normal(size=(64, 128)).astype(np.float32)
    weights[:, [3, 77]] /= 50
    exponents = choose([weights], columns_of(128, (3, 77)), symmetric=True)
    others = np.delete(exponents, [3, 77])
    assert min(exponents[3], exponents[77]) >= np.median(others) + 3
    assert np.ptp(others) <= 1


def test_where_nothing_is_gained_nothing_changes() -> None:
    even = np.ones((64, 128), np.float32)
    assert not choose([even], columns_of(128), symmetric=True).any()
