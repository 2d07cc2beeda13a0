"""Every cut of every kind: the folder loads, its GGUF computes the same, and it quantizes and answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.convert.conversion import convert
from app.convert.messages import Convert
from app.errors import ConversionError, ModelFileError, PruneError
from app.operation import Context
from app.prune.loading import load_model
from app.prune.messages import LayerImportance, Prune, Pruned, PruneMethod
from app.prune.prune import prune
from app.quantize.messages import Quantize
from app.quantize.native import planned
from app.quantize.quantize import quantize
from tests.app.convert.logits import kl, of_llama_cpp
from tests.app.convert.small_models import VOCABULARY, change_config, make

CLOSE = 1e-5
TOKENS = [int(n) for n in np.random.default_rng(3).integers(4, VOCABULARY, 100)]
CUTS: dict[str, dict[str, Any]] = {
    "ffn": {"method": PruneMethod.FFN, "amount": 0.34},
    "ffn-32": {"method": PruneMethod.FFN, "amount": 0.45, "width_multiple": 32},
    "kv-3": {"method": PruneMethod.KV_GROUPS, "amount": 0.25},
    "kv-2": {"method": PruneMethod.KV_GROUPS, "amount": 0.5},
    "layers": {"method": PruneMethod.LAYERS, "amount": 0.34},
    "ffn-by-layer": {"method": PruneMethod.FFN, "amount": 0.34, "per_layer": True},
    "kv-by-layer": {"method": PruneMethod.KV_GROUPS, "amount": 0.5, "per_layer": True},
}
REFUSED = {(family, "kv-3") for family in ("gemma2", "gemma3")}
"""Six heads, which do not divide 256."""
BY_LAYER = ("ffn-by-layer", "kv-by-layer")
FAMILIES = ("llama3", "llama-biased", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
QUICK = [
    ("llama3", "ffn"),
    ("llama3", "kv-3"),
    ("qwen2", "kv-2"),
    ("qwen2", "kv-by-layer"),
    ("qwen3", "kv-2"),
    ("gemma2", "layers"),
]
EVERY = [
    (family, cut)
    for family in FAMILIES
    for cut in CUTS
    if (cut not in BY_LAYER or not family.startswith(("qwen3", "gemma"))) and (family, cut) not in REFUSED
]

Cut = Callable[[str, str], Pruned]


def run(source: Path, output: Path, **changes: Any) -> Pruned:
    values: dict[str, Any] = {"chunks": 4, "context_tokens": 64, "threads": 1} | changes
    return prune(Prune(source, output, **values), Context())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random model of the family, made once."""
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            layers = 7 if family == "gemma3" else 3
            values = {"num_hidden_layers": layers, "num_key_value_heads": 4, "intermediate_size": 768}
            made[family] = make(family, tmp_path_factory.mktemp(family), **values)
        return made[family]

    return of


@pytest.fixture
def cut(source: Callable[[str], Path], tmp_path: Path) -> Cut:
    return lambda family, name: run(source(family), tmp_path / "cut", **CUTS[name])


def logits(folder: Path) -> np.ndarray:
    return answer(load_model(folder, torch.float32))


def answer(model: Any) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(torch.tensor([TOKENS])).logits[0].numpy()


def converted(folder: Path, output: Path) -> Path:
    convert(Convert(folder, output, "f32"), Context())
    return output


def check_same(cut: Cut, source: Callable[[str], Path], family: str, name: str, tmp_path: Path) -> None:
    folder = cut(family, name).path
    found = of_llama_cpp(converted(folder, tmp_path / "cut.gguf"), TOKENS)
    assert kl(logits(folder), found) < CLOSE
    assert kl(logits(source(family)), found) > 100 * CLOSE  # the control: it is not the model that was not cut


@pytest.mark.parametrize(("family", "name"), QUICK)
def test_llama_cpp_computes_what_the_cut_model_does(
    cut: Cut, source: Callable[[str], Path], tmp_path: Path, family: str, name: str
) -> None:
    check_same(cut, source, family, name, tmp_path)


@pytest.mark.wide
@pytest.mark.parametrize(("family", "name"), [pair for pair in EVERY if pair not in QUICK])
def test_llama_cpp_computes_what_every_cut_model_does(
    cut: Cut, source: Callable[[str], Path], tmp_path: Path, family: str, name: str
) -> None:
    check_same(cut, source, family, name, tmp_path)


def check_answers(folder: Path, output: Path) -> None:
    quantize(Quantize(folder, output, "Q4_K_M", threads=1), Context())
    tokens = TOKENS[:8]
    for _ in range(3):
        last = of_llama_cpp(output, tokens)[-1]
        assert np.isfinite(last).all()
        tokens = [*tokens, int(last.argmax())]


@pytest.mark.parametrize(("family", "name"), [("llama3", "ffn-by-layer"), ("qwen2", "kv-2")])
def test_it_quantizes_and_answers(cut: Cut, tmp_path: Path, family: str, name: str) -> None:
    check_answers(cut(family, name).path, tmp_path / "q.gguf")


@pytest.mark.wide
@pytest.mark.parametrize(("family", "name"), EVERY)
def test_every_cut_quantizes_and_answers(cut: Cut, tmp_path: Path, family: str, name: str) -> None:
    check_answers(cut(family, name).path, tmp_path / "q.gguf")


def test_a_qwen2_moved_into_llama_computes_the_same(cut: Cut, source: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoConfig, Qwen2ForCausalLM

    folder = cut("qwen2", "kv-2").path
    config = AutoConfig.from_pretrained(source("qwen2"))
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 32
    own = Qwen2ForCausalLM(config)
    tensors = {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}
    biases = {name for name in tensors if name.endswith("o_proj.bias")}
    assert len(biases) == 3
    own.load_state_dict({name: value for name, value in tensors.items() if name not in biases})
    assert kl(answer(own), logits(folder)) < CLOSE
    # The control: without the biases of queries, keys and values it is another model.
    change_config(folder, attention_bias=False)
    assert kl(answer(own), logits(folder)) > 100 * CLOSE


def test_a_llama_moved_into_mistral_computes_the_same(cut: Cut) -> None:
    folder = cut("llama3", "kv-3").path
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    as_mistral = logits(folder)
    counts = {"num_attention_heads": [6] * 3, "num_key_value_heads": [3] * 3, "intermediate_size": [768] * 3}
    change_config(folder, architectures=["DeciLMForCausalLM"], sliding_window=None, **counts)
    assert kl(logits(folder), as_mistral) < CLOSE


def test_a_wrong_number_of_groups_is_not_loaded(cut: Cut) -> None:
    folder = cut("llama3", "kv-by-layer").path
    change_config(folder, num_key_value_heads=[4, 4, 4], num_attention_heads=[8, 8, 8])
    with pytest.raises((ConversionError, ModelFileError)):
        convert(Convert(folder, folder / "m.gguf", "f32"), Context())


@pytest.mark.parametrize("name", BY_LAYER)
def test_the_total_is_that_of_the_uniform_cut(cut: Cut, name: str) -> None:
    config = json.loads((cut("llama3", name).path / "config.json").read_text())
    assert sum(config["intermediate_size"]) == (3 * 512 if name == "ffn-by-layer" else 3 * 768)
    assert sum(config["num_key_value_heads"]) == (3 * 2 if name == "kv-by-layer" else 3 * 4)
    assert min(config["intermediate_size"]) >= 256
    assert min(config["num_key_value_heads"]) >= 1


@pytest.mark.parametrize("name", ["ffn", "ffn-32", "kv-3", "layers"])
def test_no_file_is_larger_than_before(cut: Cut, source: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    before = converted(source("llama3"), tmp_path / "before.gguf")
    after = converted(cut("llama3", name).path, tmp_path / "after.gguf")
    for kind in ("Q4_0", "Q4_K_M", "Q8_0"):
        assert planned(after, kind).data_bytes < planned(before, kind).data_bytes


def test_a_bad_width_would_be_larger(source: Callable[[str], Path], tmp_path: Path) -> None:
    """The control: what is not offered is larger indeed."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "bad"
    shutil.copytree(source("llama3"), folder)
    tensors = load_file(folder / "model.safetensors")
    for name, value in tensors.items():
        if "mlp." in name:
            tensors[name] = (value[:, :736] if "down" in name else value[:736]).contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    change_config(folder, intermediate_size=736)
    before, after = converted(source("llama3"), tmp_path / "b.gguf"), converted(folder, tmp_path / "a.gguf")
    assert planned(after, "Q4_K_M").data_bytes > planned(before, "Q4_K_M").data_bytes


def test_a_width_that_k_quants_do_not_take_is_said(cut: Cut) -> None:
    assert "K-quants fall back" in cut("llama3", "ffn-32").recipe


def test_a_width_that_they_take_is_not_remarked(cut: Cut) -> None:
    assert cut("llama3", "ffn").recipe == "FFN 768 to 512, refitted"


@pytest.mark.parametrize("importance", LayerImportance)
def test_the_layer_that_changes_nothing_is_left_out(
    source: Callable[[str], Path], tmp_path: Path, importance: LayerImportance
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "source"
    shutil.copytree(source("llama3"), folder)
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if "layers.1." in name and name.endswith(("o_proj.weight", "down_proj.weight")):
            tensors[name] *= 0.01
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    result = run(folder, tmp_path / "cut", **CUTS["layers"], importance=importance)
    assert result.dropped_layers == (1,)
    assert kl(logits(folder), logits(result.path)) < 0.01


def test_leaving_out_is_measured_as_it_will_be(source: Callable[[str], Path]) -> None:
    from app.prune.block_model import BlockModel
    from app.prune.layers import leave_out_divergences

    folder = source("llama3")
    found = leave_out_divergences(BlockModel(folder), torch.tensor([TOKENS]), lambda _share: None)
    assert found[0] == float("inf")
    for layer in (1, 2):
        model = load_model(folder, torch.float32)
        del model.model.layers[layer]
        for index, block in enumerate(model.model.layers):
            block.self_attn.layer_idx = index
        model.config.num_hidden_layers = 2
        assert found[layer] == pytest.approx(kl(logits(folder), answer(model)), rel=1e-3)


def test_layers_that_are_asked_for_go(source: Callable[[str], Path], tmp_path: Path) -> None:
    assert run(source("llama3"), tmp_path / "cut", **CUTS["layers"], layers=(2,)).dropped_layers == (2,)


@pytest.mark.parametrize(
    ("family", "values", "sentence"),
    [
        ("llama3", {"method": PruneMethod.LAYERS, "amount": 0.3, "layers": (0,)}, "first layer cannot"),
        ("llama3", {"method": PruneMethod.LAYERS, "amount": 0.3, "layers": (1, 3)}, "different numbers"),
        ("gemma2", {"method": PruneMethod.LAYERS, "amount": 0.3, "layers": (1,)}, "sliding window"),
        ("gemma2", CUTS["kv-3"], "6 heads do not divide"),
        ("qwen3", CUTS["ffn-by-layer"], "must all have the same width"),
        ("llama3", CUTS["ffn"] | {"width_multiple": 100}, "blocks of 32"),
        ("llama3", CUTS["ffn"] | {"width_multiple": 1024}, "no narrower width"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(
    source: Callable[[str], Path], tmp_path: Path, family: str, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PruneError, match=sentence):
        run(source(family), tmp_path / "cut", **values)
    assert list(tmp_path.iterdir()) == []
