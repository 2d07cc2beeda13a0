"""The table of errors, against gguf's own arithmetic and against what must be so."""

from __future__ import annotations

import math

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize

from app.engine.ggml_library import quantize_rows
from app.errors import Cancelled
from app.inspect.messages import MethodError, MethodKind
from app.inspect.rounding_errors import GGUF_TYPES, errors_of, methods
from tests.app.inspect.models import bimodal, normal, planted


def table(weights: np.ndarray, rows: int = 0) -> dict[str, MethodError]:
    return {error.name: error for error in errors_of(weights, rows or len(weights), lambda: False)}


def by_gguf(weights: np.ndarray, kind: str) -> float:
    number = gguf.GGMLQuantizationType[kind]
    return float(np.sqrt(np.square(weights - dequantize(quantize(weights, number), number)).mean()))


@pytest.mark.parametrize(("kind", "other"), [("Q4_0", "Q8_0"), ("Q8_0", "Q4_0")])
def test_the_errors_are_those_of_the_type_and_of_no_other(kind: str, other: str) -> None:
    weights = normal(64, 512)
    found = table(weights)
    assert found[kind].rmse == pytest.approx(by_gguf(weights, kind), rel=0.01)
    assert found[other].rmse != pytest.approx(by_gguf(weights, kind), rel=0.5)
    noise = 20 * math.log10(float(np.sqrt(np.square(weights).mean())) / found[kind].rmse)
    assert found[kind].signal_to_noise == pytest.approx(noise, rel=1e-3)


def test_q8_0_has_the_bytes_that_gguf_writes() -> None:
    weights = normal(8, 256)
    ours = quantize_rows(weights, "Q8_0")
    assert (ours == quantize(weights, gguf.GGMLQuantizationType.Q8_0)).mean() > 0.999  # rounding of halves differs
    assert quantize_rows(weights, "Q4_0").shape != ours.shape


def test_more_bits_are_less_error() -> None:
    found = table(normal(64, 512))
    order = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
    errors = [found[name].rmse for name in order]
    assert errors == sorted(errors)
    assert found["Q8_0"].bits == 8.5
    assert found["Q4_K"].bits == 4.5


def test_a_scale_for_fewer_weights_is_less_error_where_one_weight_is_far() -> None:
    weights = normal(64, 256)
    weights[3, 5] = 1.0
    found = table(weights)
    whole, row, block = (
        found[f"Min-max, 4 bits, {shared}"].rmse for shared in ("whole tensor", "each row", "blocks of 32")
    )
    assert whole > 5 * row > 5 * block


def test_learned_values_are_better_than_even_steps_at_equal_bits_on_two_bells() -> None:
    found = table(bimodal())
    even = found["Min-max, 4 bits, whole tensor"]
    for name in ("k-means, 16 values", "Product quantization, pairs"):
        assert found[name].bits == pytest.approx(even.bits, abs=0.6)
        assert found[name].rmse < even.rmse / 2, name


def test_bits_count_the_tables_of_the_whole_tensor() -> None:
    few, many = table(normal(16, 256)), table(normal(16, 256), rows=16_000)
    name = "Product quantization, pairs"
    assert few[name].bits == pytest.approx(4 + 256 * 2 * 16 / (16 * 256))
    assert many[name].bits == pytest.approx(4 + 256 * 2 * 16 / (16_000 * 256))


def test_what_does_not_fit_says_so_and_the_rest_is_there() -> None:
    found = table(normal(32, 96))
    assert "96 weights, which 256 does not divide" in found["Q4_K"].problem
    assert not found["Q4_0"].problem
    assert found["Q4_0"].rmse > 0
    odd = table(normal(32, 63))
    assert odd["Q4_0"].problem
    assert odd["Product quantization, pairs"].problem
    assert odd["Min-max, 8 bits, each row"].rmse > 0


def test_constant_and_zero_tensors_are_exact_and_no_crash() -> None:
    for weights in (np.zeros((4, 256), np.float32), np.full((4, 256), 0.5, np.float32)):
        found = table(weights)
        assert found["Min-max, 4 bits, each row"].exact
        assert found["k-means, 16 values"].exact
        assert all(math.isfinite(error.signal_to_noise) for error in found.values())


def test_the_same_at_every_look_and_stopped_when_asked() -> None:
    weights = planted(32, 256)
    assert errors_of(weights, 32, lambda: False) == errors_of(weights, 32, lambda: False)
    with pytest.raises(Cancelled):
        errors_of(weights, 32, lambda: True)


def test_every_method_has_a_sentence_and_codebooks_say_that_gguf_has_none() -> None:
    assert {method.name for method in methods() if method.kind is MethodKind.GGUF} == set(GGUF_TYPES)
    for method in methods():
        assert method.words.endswith(".")
        assert ("No GGUF type" in method.words) == (method.kind is MethodKind.CODEBOOK)


def test_ggml_is_given_only_what_it_can_take() -> None:
    with pytest.raises(ValueError, match="multiple"):
        quantize_rows(normal(2, 100), "Q4_K")
    damaged = normal(2, 256)
    damaged[0, 0] = np.nan
    with pytest.raises(ValueError, match="no numbers"):
        quantize_rows(damaged, "Q4_K")
