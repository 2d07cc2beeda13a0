"""config.json for a model whose counts of heads and widths changed, moved into another architecture where its own has
no room for them.

What has room for what: transformers' configuration classes, and src/models/ in llama.cpp. Layers that differ in width
are said by lists under the usual names, and by `DeciLMForCausalLM`, which is llama.cpp's `deci`; transformers does not
load those (`app.compress.prune.loading` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import PruneError

PER_LAYER = "DeciLMForCausalLM"
_DECI_FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", PER_LAYER)
"""SILU, no norm of queries and keys, one rotation of whole heads: what llama.cpp's graph of `deci` computes."""
_ANY_HEADS = (
    "MistralForCausalLM",
    "Qwen3ForCausalLM",
    "GemmaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "SmolLM3ForCausalLM",
)
"""Their heads need not make up the width of the model, in transformers and in llama.cpp."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Of one layer."""

    heads: int
    kv_heads: int
    ffn: int


@dataclass(frozen=True, slots=True)
class Housed:
    """The new config.json. `zero_output_bias`: the new architecture has a bias there, which is to be zeros."""

    config: dict[str, Any]
    zero_output_bias: bool = False


def widths_of(config: dict[str, Any]) -> list[Widths]:
    """By layer, of a folder's config.json. Raises ConversionError."""
    from app.compress.convert.configuration import Config

    read = Config(config)
    return [Widths(*of) for of in zip(read.heads_of, read.kv_heads_of, read.ffn_of, strict=True)]


def housed(config: dict[str, Any], widths: Sequence[Widths]) -> Housed:
    """`config` with these widths, one for each of its layers. Raises PruneError where nothing has room for them."""
    from app.compress.convert.configuration import Config

    architecture = Config(config).architecture
    uniform = len(set(widths)) == 1
    if architecture == PER_LAYER or not uniform:
        return Housed(_per_layer(config, widths))
    first, before = widths[0], widths_of(config)[0]
    changed = {"intermediate_size": first.ffn}
    if (first.heads, first.kv_heads) == (before.heads, before.kv_heads):
        return Housed(_with(config, changed))
    changed |= {"num_attention_heads": first.heads, "num_key_value_heads": first.kv_heads}
    return _with_heads(config, changed, architecture, widths)


def check_per_layer(config: dict[str, Any]) -> None:
    """Raises PruneError for a family whose layers cannot differ in width."""
    from app.compress.convert.configuration import Config

    read = Config(config)
    if read.architecture not in _DECI_FAMILIES or read.get("hidden_act", default="silu") != "silu":
        raise PruneError(
            f"The layers of a {read.architecture or 'model of this kind'} must all have the same width: "
            "llama.cpp has no way to run them otherwise.",
            "Prune with the same width in all layers.",
        )
    if read.get("sliding_window") is not None and _slides(config):
        raise PruneError(
            "Some layers of the model see a sliding window only, and llama.cpp cannot run such a model with layers "
            "of different widths.",
            "Prune with the same width in all layers.",
        )


def _with_heads(config: dict[str, Any], changed: dict[str, Any], architecture: str, widths: Sequence[Widths]) -> Housed:
    """For fewer heads than before. The width of a head is said, for it does not follow from their number any more."""
    from app.compress.convert.configuration import Config

    read = Config(config)
    changed |= {"head_dim": read.head}
    divides = read.width % changed["num_attention_heads"] == 0
    if architecture in _ANY_HEADS:
        return Housed(_with(config, changed))
    if architecture == "LlamaForCausalLM" and divides:
        return Housed(_with(config, changed))
    if architecture == "LlamaForCausalLM" and not (read.get("attention_bias") or read.get("mlp_bias")):
        return Housed(_as_mistral(config, changed))
    if architecture == "Qwen2ForCausalLM" and divides and not _slides(config):
        return Housed(_as_llama(config, changed), zero_output_bias=True)
    if architecture in _DECI_FAMILIES:
        return Housed(_per_layer(config, widths))
    raise PruneError(
        f"A {architecture or 'model of this kind'} must have as many heads as make up its width: none can be taken away.",
        "Make its FFN narrower or drop layers instead.",
    )


def _as_mistral(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The same computation; only Llama's configuration insists that the heads divide the width."""
    moved = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
    return _without(config, "pretraining_tp", "attention_bias", "mlp_bias") | changed | moved


def _as_llama(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's qwen2 wants the output matrix square. Llama with biases computes the same, with one bias more."""
    moved = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": True, "mlp_bias": False}
    return _without(config, *_WINDOWS) | changed | moved


def _per_layer(config: dict[str, Any], widths: Sequence[Widths]) -> dict[str, Any]:
    from app.compress.convert.configuration import Config

    check_per_layer(config)
    return _without(config, "pretraining_tp", *_WINDOWS) | {
        "architectures": [PER_LAYER],
        "model_type": "deci",
        "head_dim": Config(config).head,
        "intermediate_size": [layer.ffn for layer in widths],
        "num_attention_heads": [layer.heads for layer in widths],
        "num_key_value_heads": [layer.kv_heads for layer in widths],
    }


_WINDOWS = ("sliding_window", "use_sliding_window", "max_window_layers", "layer_types")


def _slides(config: dict[str, Any]) -> bool:
    """Whether some layer sees a sliding window. Qwen2 and Mistral name a window that they may not use."""
    if isinstance(types := config.get("layer_types"), list):
        return "sliding_attention" in types
    return bool(config.get("use_sliding_window", config.get("model_type") != "qwen2"))


def _with(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Inside the language model of a model with pictures, too."""
    if isinstance(inner := config.get("text_config"), dict):
        return config | {"text_config": inner | changed}
    return config | changed


def _without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}
