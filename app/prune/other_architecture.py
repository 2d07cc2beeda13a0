"""config.json for a model whose numbers of heads and widths have changed, moved to another architecture where its own
cannot express them.

Which architecture can express what: transformers' configuration classes, and src/models/ in llama.cpp. Layers that
differ in width are lists under the usual names, and `DeciLMForCausalLM`, which is llama.cpp's `deci`; transformers does
not load those (`app.prune.loading` does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.convert.configuration import Config
from app.errors import PruneError

PER_LAYER = "DeciLMForCausalLM"
_DECI_FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", PER_LAYER)
"""Families with SILU, no norm of queries and keys, one rotation of whole heads: what llama.cpp's graph of `deci`
computes."""
_ANY_HEADS = ("MistralForCausalLM", "Qwen3ForCausalLM", "GemmaForCausalLM")
"""Families whose heads need not make up the width of the model, nor divide it, in transformers and in llama.cpp."""
_DIVIDING_HEADS = ("LlamaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM")
"""Families in which the number of heads must divide the width: transformers insists on it."""


@dataclass(frozen=True, slots=True)
class Widths:
    """The numbers of heads and the FFN width of one layer."""

    heads: int
    kv_heads: int
    ffn: int


@dataclass(frozen=True, slots=True)
class Housed:
    """Changes to config.json; None removes a key."""

    changes: dict[str, Any]
    zero_output_bias: bool = False
    """The new architecture adds a bias to the output of attention, which must be zero."""


def widths_of(config: Mapping[str, Any]) -> list[Widths]:
    """Heads and FFN width of each layer, from a folder's config.json. Raises ConversionError."""
    read = Config(dict(config))
    return [Widths(*of) for of in zip(read.heads_of, read.kv_heads_of, read.ffn_of, strict=True)]


def housed(config: Mapping[str, Any], widths: Sequence[Widths]) -> Housed:
    """The changes with which `config` states these widths, one for each layer. Raises PruneError where no architecture
    has room.
    """
    first, before = widths[0], widths_of(config)[0]
    if Config(dict(config)).architecture == PER_LAYER or len(set(widths)) > 1:
        return Housed(_per_layer(config, widths))
    if (first.heads, first.kv_heads) == (before.heads, before.kv_heads):
        return Housed({"intermediate_size": first.ffn})
    return _with_heads(config, widths)


def check_per_layer(config: Mapping[str, Any]) -> None:
    """Raise PruneError for a family whose layers cannot differ in width."""
    read = Config(dict(config))
    if read.architecture not in _DECI_FAMILIES or read.get("hidden_act", default="silu") != "silu":
        raise PruneError(
            f"The layers of a {read.architecture or 'model of this kind'} must all have the same width: "
            "llama.cpp has no way to run them otherwise.",
            "Prune with the same width in all layers.",
        )
    if _slides(read):
        raise PruneError(
            "Some layers of the model see a sliding window only, and llama.cpp cannot run such a model with layers "
            "of different widths.",
            "Prune with the same width in all layers.",
        )


def _with_heads(config: Mapping[str, Any], widths: Sequence[Widths]) -> Housed:
    """The changes for fewer heads than before. The width of a head is stated, since it no longer follows from their
    number.
    """
    read, first = Config(dict(config)), widths[0]
    changes: dict[str, Any] = {
        "intermediate_size": first.ffn,
        "num_attention_heads": first.heads,
        "num_key_value_heads": first.kv_heads,
        "head_dim": read.head,
    }
    divides = read.width % first.heads == 0
    if read.architecture in _ANY_HEADS or (read.architecture in _DIVIDING_HEADS and divides):
        return Housed(changes)
    if read.architecture == "LlamaForCausalLM" and not (read.get("attention_bias") or read.get("mlp_bias")):
        return Housed(changes | _mistral(read))
    if read.architecture == "Qwen2ForCausalLM" and divides and not _slides(read):
        return Housed(changes | _LLAMA, zero_output_bias=True)
    if read.architecture in _DECI_FAMILIES:
        return Housed(_per_layer(config, widths))
    if read.architecture in _DIVIDING_HEADS:
        raise PruneError(
            f"{first.heads} heads do not divide the model's width of {read.width}, as they must in a "
            f"{read.architecture}.",
            "Take away another share of the KV groups.",
        )
    raise PruneError(
        f"A {read.architecture or 'model of this kind'} must have as many heads as make up its width: "
        "none can be taken away.",
        "Make its FFN narrower or drop layers instead.",
    )


_NO_WINDOWS: dict[str, Any] = dict.fromkeys(
    ("sliding_window", "use_sliding_window", "max_window_layers", "layer_types")
)
_LLAMA: dict[str, Any] = {
    **_NO_WINDOWS,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": True,
    "mlp_bias": False,
}
"""Keys for Qwen2, whose output matrix is square in llama.cpp: Llama with biases computes the same, with one bias
more."""


def _mistral(read: Config) -> dict[str, Any]:
    """The keys that turn a Llama into a Mistral: the same computation, but only Llama requires that the heads divide
    the width.
    """
    return {
        **dict.fromkeys(("pretraining_tp", "attention_bias", "mlp_bias")),
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "sliding_window": read.context,  # without the key it would be a window of 4096
    }


def _per_layer(config: Mapping[str, Any], widths: Sequence[Widths]) -> dict[str, Any]:
    check_per_layer(config)
    return {
        **_NO_WINDOWS,
        "architectures": [PER_LAYER],
        "model_type": "deci",
        "head_dim": Config(dict(config)).head,
        "intermediate_size": [layer.ffn for layer in widths],
        "num_attention_heads": [layer.heads for layer in widths],
        "num_key_value_heads": [layer.kv_heads for layer in widths],
    }


def _slides(read: Config) -> bool:
    """Whether some layer attends to less than the context. Qwen2 names a window that it does not use."""
    window, types = read.get("sliding_window"), read.get("layer_types")
    if window is None or window >= read.context or read.get("use_sliding_window") is False:
        return False
    return "sliding_attention" in types if isinstance(types, list) else True
