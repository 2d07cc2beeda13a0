"""Every architecture: llama.cpp on the converted file computes what transformers computes on the safetensors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.convert import conversion, families, tensors
from app.convert.configuration import Config
from app.convert.conversion import convert
from app.convert.messages import Convert
from app.operation import Context
from tests.app.convert.logits import kl, of_llama_cpp, of_transformers
from tests.app.convert.small_models import ARCHITECTURES, VOCABULARY, make

CLOSE = 1e-5
TOKENS = [int(n) for n in np.random.default_rng(3).integers(4, VOCABULARY, 160)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    """Folder and logits by architecture, filled as they are asked for."""
    return {}


@pytest.fixture
def reference(
    made: dict[str, tuple[Path, np.ndarray]], tmp_path_factory: pytest.TempPathFactory, kind: str
) -> tuple[Path, np.ndarray]:
    if kind not in made:
        folder = make(kind, tmp_path_factory.mktemp(kind))
        made[kind] = folder, of_transformers(folder, TOKENS)
    return made[kind]


def converted(folder: Path, output: Path, kind: str = "f32") -> Path:
    convert(Convert(folder, output, kind), Context())
    return output


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_it_computes_the_same(reference: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, logits = reference
    assert kl(logits, of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) < CLOSE


def _granite_of_ones(writer: Any, config: Config) -> None:
    families._llama(writer, config)
    for add in (
        writer.add_attention_scale,
        writer.add_embedding_scale,
        writer.add_residual_scale,
        writer.add_logit_scale,
    ):
        add(1.0)


def _gemma2_with_other_caps(writer: Any, config: Config) -> None:
    writer.add_attn_logit_softcapping(1.0)
    writer.add_final_logit_softcapping(1.0)
    writer.add_sliding_window(64)


LEFT_OUT: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"interleaved": False}),
    ("mistral", {"interleaved": False}),
    ("smollm3", {"interleaved": False}),
    ("granite", {"interleaved": False}),
    ("granite", {"add_keys": _granite_of_ones}),
    ("qwen2", {"interleaved": True}),
    ("qwen3", {"interleaved": True}),
    ("olmo2", {"interleaved": True}),
    ("stablelm", {"interleaved": True}),
    ("stablelm", {"add_keys": families._no_more}),
    ("gemma2", {"norm_offset": 0.0}),
    ("gemma2", {"add_keys": _gemma2_with_other_caps}),
    ("gemma3", {"norm_offset": 0.0}),
    ("gemma3", {"add_keys": lambda writer, config: writer.add_sliding_window(512)}),
]


@pytest.mark.parametrize(("kind", "change"), LEFT_OUT)
def test_a_step_that_is_left_out_shows(
    reference: tuple[Path, np.ndarray], change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, logits = reference
    given = families.family_of
    monkeypatch.setattr(conversion, "family_of", lambda config: dataclasses.replace(given(config), **change))
    assert kl(logits, of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) > 100 * CLOSE


@pytest.mark.parametrize("kind", ["llama3", "llama-linear", "qwen2-yarn", "phi3-long"])
def test_positions_that_are_not_scaled_show(
    reference: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder, logits = reference
    without = {"llama3": {}, "phi3-long": {}}.get(kind, {})
    if kind == "phi3-long":  # its two tensors must be there: all ones scale nothing
        factors = np.ones(16, np.float32)
        without = {f"rope_factors_{length}.weight": factors for length in ("long", "short")}

    def plain(writer: Any, _config: Any, _family: Any) -> dict[str, np.ndarray]:
        writer.add_rope_freq_base(500000.0 if kind == "llama3" else 10000.0)
        return without

    monkeypatch.setattr(conversion, "add_rope", plain)
    assert kl(logits, of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) > 10 * CLOSE


@pytest.mark.parametrize("kind", ["phi3"])
def test_swapped_halves_of_a_fused_matrix_show(
    reference: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, logits = reference
    output = tensors._output

    def wrong(found: str, *rest: Any) -> tensors.OutputTensor:
        made = output(found, *rest)
        return dataclasses.replace(made, heads=2) if found.endswith("attn_qkv.weight") else made

    monkeypatch.setattr(tensors, "_output", wrong)
    assert kl(logits, of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) > 100 * CLOSE


@pytest.mark.parametrize("kind", ["gpt2"])
def test_a_matrix_that_is_not_transposed_shows(
    reference: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, logits = reference
    square = (".attn.c_proj.weight",)  # the others would not load at all
    rest = tuple(name for name in families._CONV1D if name != ".c_proj.weight")
    given = families.family_of

    def changed(config: Any) -> families.Family:
        return dataclasses.replace(given(config), transposed=(*rest, ".mlp.c_proj.weight"))

    assert square[0].endswith(families._CONV1D)
    monkeypatch.setattr(conversion, "family_of", changed)
    assert kl(logits, of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) > 100 * CLOSE
