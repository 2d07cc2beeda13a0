"""The rule for config.json: every field of transformers' class, changed, gives the same logits or a refusal."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.convert import config_keys, conversion, families
from app.convert.configuration import Config, fields_of
from app.convert.conversion import check, convert
from app.convert.messages import Convert
from app.errors import ConversionError
from app.operation import Context
from tests.app.convert.config_classes import CLASSES, FILE, of_transformers
from tests.app.convert.logits import kl, of_llama_cpp
from tests.app.convert.logits import of_transformers as logits_of
from tests.app.convert.small_models import ARCHITECTURES, VOCABULARY, change_config, make

CLOSE = 1e-5
TOKENS = [int(n) for n in np.random.default_rng(3).integers(4, VOCABULARY, 160)]

OTHER: dict[str, tuple[Any, ...]] = {
    "vocab_size": (4224,),
    "hidden_size": (384,),
    "intermediate_size": (384,),
    "num_hidden_layers": (3,),
    "num_attention_heads": (4, 16),
    "num_key_value_heads": (4, 8),
    "head_dim": (32, 64),
    "hidden_act": ("silu", "gelu", "relu", "gelu_pytorch_tanh"),
    "hidden_activation": ("gelu_pytorch_tanh", "gelu", "silu"),
    "activation_function": ("gelu_new", "relu", "silu"),
    "max_position_embeddings": (300,),
    "original_max_position_embeddings": (64,),
    "n_positions": (300,),
    "n_embd": (384,),
    "n_layer": (3,),
    "n_head": (4,),
    "n_inner": (640,),
    "rms_norm_eps": (0.5,),
    "layer_norm_eps": (0.5,),
    "layer_norm_epsilon": (0.5,),
    "tie_word_embeddings": (True, False),
    "attention_bias": (True,),
    "mlp_bias": (True,),
    "use_qkv_bias": (True, False),
    "qk_layernorm": (True,),
    "use_parallel_residual": (True, False),
    "sliding_window": (16, 4096, None),
    "use_sliding_window": (True,),
    "max_window_layers": (0, 1),
    "layer_types": (
        ["full_attention", "sliding_attention"],
        ["full_attention", "full_attention"],
        ["sliding_attention", "sliding_attention"],
    ),
    "no_rope_layers": ([1, 0], [0, 0], [1, 1]),
    "no_rope_layer_interval": (2, 3),
    "query_pre_attn_scalar": (32, 128, 256),
    "attn_logit_softcapping": (5.0, None),
    "final_logit_softcapping": (5.0, None),
    "use_bidirectional_attention": (True, False),
    "embedding_multiplier": (1.0, 7.0),
    "logits_scaling": (1.0, 7.0),
    "residual_multiplier": (1.0, 0.2),
    "attention_multiplier": (1.0, 0.05),
    "scale_attn_weights": (False,),
    "scale_attn_by_inverse_layer_idx": (True,),
    "reorder_and_upcast_attn": (True,),
    "add_cross_attention": (True,),
    "pretraining_tp": (2,),
    "use_cache": (False,),
    "bos_token_id": (5,),
    "eos_token_id": (6,),
    "pad_token_id": (7,),
    "initializer_range": (0.1,),
    "attention_dropout": (0.1,),
    "hidden_dropout": (0.1,),
    "resid_pdrop": (0.2,),
    "embd_pdrop": (0.2,),
    "attn_pdrop": (0.2,),
    "summary_type": ("mean",),
    "summary_use_proj": (False,),
    "summary_activation": ("tanh",),
    "summary_proj_to_labels": (False,),
    "summary_first_dropout": (0.2,),
}
"""Other values of each field of the classes; `rope_parameters` has a list of its own."""

_YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
ROPES: tuple[dict[str, Any], ...] = (
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
    {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 3.0},
    _YARN,
    {**_YARN, "factor": 2.5, "original_max_position_embeddings": 64},
    {**_YARN, "attention_factor": 0.7},
    {**_YARN, "mscale": 0.8, "mscale_all_dim": 0.3},
    {**_YARN, "mscale": 2.0},
    {**_YARN, "beta_fast": 8},
    {**_YARN, "beta_slow": 4},
    {**_YARN, "beta_fast": 32, "beta_slow": 1, "truncate": True},
    {**_YARN, "truncate": False},
    {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 3.0,
        "original_max_position_embeddings": 64,
    },
)
NOT_SAVED = {"GPT2": "gpt2", "Gemma3Text": "gemma3", "StableLm": "stablelm", "SmolLM3": "smollm3"}


def kind_of(architecture: str) -> str:
    """The small model of the architecture."""
    name = CLASSES[architecture].removesuffix("Config")
    return NOT_SAVED.get(name, name.lower())


def cases() -> Iterator[Any]:
    """Each field of each class with each other value."""
    known = json.loads(FILE.read_text())["classes"]
    for architecture, fields in known.items():
        for name in fields:
            values = ROPES if name == "rope_parameters" else OTHER[name]
            for value in values if fields[name] is not None or name != "rope_parameters" else ():
                yield pytest.param(architecture, {name: value}, id=f"{architecture}-{name}-{str(value)[:60]}")
    window = {"use_sliding_window": True, "sliding_window": 16}
    for architecture in ("Qwen2ForCausalLM", "Qwen3ForCausalLM", "SmolLM3ForCausalLM"):
        yield pytest.param(architecture, {**window, "max_window_layers": 1}, id=f"{architecture}-window")
        yield pytest.param(architecture, {**window, "sliding_window": 512}, id=f"{architecture}-long-window")


def test_the_classes_are_those_of_transformers() -> None:
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(of_transformers()))


def test_every_field_of_every_class_has_a_rule() -> None:
    assert not list(without_rule())


def test_a_field_that_is_taken_out_of_the_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = families._FAMILIES["LlamaForCausalLM"]
    fixed = {name: rule for name, rule in llama.fixed.items() if name != "hidden_act"}
    monkeypatch.setitem(families._FAMILIES, "LlamaForCausalLM", dataclasses.replace(llama, fixed=fixed))
    assert list(without_rule()) == ["LlamaForCausalLM.hidden_act"]


def without_rule() -> Iterator[str]:
    for architecture, family in families._FAMILIES.items():
        ruled = config_keys.USED | config_keys.HARMLESS | family.used | set(family.fixed)
        yield from (f"{architecture}.{name}" for name in fields_of(architecture) if name not in ruled)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


def outcome(architecture: str, changes: dict[str, Any], folder: Path) -> float | str:
    """KL divergence of the converted model to the original; the sentence where the conversion was refused, or why
    transformers does not make such a model.
    """
    given = ARCHITECTURES[kind_of(architecture)][1]
    if "layer_types" in changes or "no_rope_layers" in changes:
        changes = {**changes, "num_hidden_layers": 2}
    try:
        make(kind_of(architecture), folder, **copy.deepcopy({**given, **changes}))
        logits = logits_of(folder, TOKENS)
    except Exception as error:  # noqa: BLE001 - any check of the class may refuse the value
        return f"transformers: {error}"
    try:
        convert(Convert(folder, folder / "m.gguf", "f32"), Context())
    except ConversionError as error:
        return error.sentence
    return kl(logits, of_llama_cpp(folder / "m.gguf", TOKENS))


@pytest.mark.wide
@pytest.mark.parametrize(("architecture", "changes"), list(cases()))
def test_a_changed_field_is_computed_or_refused(architecture: str, changes: dict[str, Any], tmp_path: Path) -> None:
    found = outcome(architecture, changes, tmp_path)
    assert isinstance(found, str) or found < CLOSE


SOME = [
    ("LlamaForCausalLM", {"hidden_act": "gelu"}),
    ("LlamaForCausalLM", {"rope_parameters": {**_YARN, "beta_fast": 8}}),
    ("MistralForCausalLM", {"sliding_window": 16}),
    ("Qwen2ForCausalLM", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 0}),
    ("SmolLM3ForCausalLM", {"no_rope_layer_interval": 2}),
    ("Phi3ForCausalLM", {"sliding_window": 16}),
    ("Gemma2ForCausalLM", {"query_pre_attn_scalar": 32}),
    ("Gemma3ForCausalLM", {"use_bidirectional_attention": True}),
    ("Qwen3ForCausalLM", {"attention_bias": True}),
]


@pytest.mark.parametrize(("architecture", "changes"), SOME)
def test_what_llama_cpp_does_not_compute_is_refused_by_name(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    found = outcome(architecture, changes, tmp_path)
    assert isinstance(found, str)
    assert not found.startswith("transformers:")
    assert any(name in found for name in (*changes, "beta_fast", "layer_types", "no_rope_layers"))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("Qwen2ForCausalLM", {"rope_parameters": {**_YARN, "attention_factor": 0.7}}),
        ("Gemma2ForCausalLM", {"layer_types": ["full_attention", "sliding_attention"]}),
        ("Gemma3ForCausalLM", {"layer_types": ["full_attention", "sliding_attention"]}),
    ],
)
def test_what_has_a_key_in_gguf_is_computed(architecture: str, changes: dict[str, Any], tmp_path: Path) -> None:
    found = outcome(architecture, changes, tmp_path)
    assert isinstance(found, float)
    assert found < CLOSE


def test_a_rule_that_lets_everything_through_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = families.family_of
    loose = {"sliding_window": lambda _config, _value: True, "hidden_act": config_keys.SILU}
    monkeypatch.setattr(conversion, "family_of", lambda config: dataclasses.replace(given(config), fixed=loose))
    found = outcome("MistralForCausalLM", {"sliding_window": 16}, tmp_path)
    assert isinstance(found, float)
    assert found > 100 * CLOSE


def test_a_key_that_transformers_does_not_read_is_harmless(tmp_path: Path) -> None:
    folder = make("llama", tmp_path)
    change_config(folder, is_llama_config=True, **{"transformers.js_config": {"dtype": "q4"}})
    check(folder)


def test_an_unknown_key_of_a_newer_transformers_is_refused(tmp_path: Path) -> None:
    folder = make("llama", tmp_path)
    change_config(folder, output_gate=True, transformers_version="99.0.0")
    with pytest.raises(ConversionError, match="output_gate"):
        check(folder)
    change_config(folder, output_gate=False)
    check(folder)


LEFT_TO_THE_CLASS = [
    ("llama", ("rope_theta", "rope_parameters", "rms_norm_eps", "num_key_value_heads", "hidden_act")),
    ("gemma3", ("rope_theta", "rope_parameters", "rms_norm_eps", "query_pre_attn_scalar", "tie_word_embeddings")),
    ("stablelm", ("rope_parameters", "layer_norm_eps", "partial_rotary_factor")),
    ("gpt2", ("layer_norm_epsilon", "activation_function", "n_inner")),
]


@pytest.mark.parametrize(("kind", "names"), LEFT_TO_THE_CLASS)
def test_a_key_that_is_left_out_has_the_value_of_the_class(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    changes: dict[str, Any] = {"num_key_value_heads": 8} if kind == "llama" else {}
    if kind == "gemma3":
        changes = {"query_pre_attn_scalar": 256, "head_dim": 256}
    folder = make(kind, tmp_path, **changes)
    change_config(folder, **dict.fromkeys(names))
    convert(Convert(folder, folder / "m.gguf", "f32"), Context())
    assert kl(logits_of(folder, TOKENS), of_llama_cpp(folder / "m.gguf", TOKENS)) < CLOSE


def test_a_published_gemma_3_leaves_its_dimensions_to_the_class() -> None:
    config = Config(
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "hidden_size": 7,
            "text_config": {"hidden_size": 2560, "num_hidden_layers": 34, "model_type": "gemma3_text"},
        }
    )
    assert (config.width, config.heads, config.kv_heads, config.head) == (2560, 8, 4, 256)
    assert (config.vocabulary, config.context) == (262208, 131072)
    full, sliding = families.parameters(config)
    assert (full["rope_theta"], sliding["rope_theta"]) == (1000000.0, 10000.0)
