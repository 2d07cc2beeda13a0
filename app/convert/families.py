"""What differs between the architectures that can be converted: their GGUF keys and what happens to their tensors.

Sources: transformers' modeling files for what a weight means, llama.cpp's src/models/ for what it expects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
from gguf import MODEL_ARCH
from numpy.typing import NDArray

from app.convert.configuration import Config
from app.errors import ConversionError
from app.library.gguf_reader import printable

AddKeys = Callable[[gguf.GGUFWriter, Config], None]


def _no_more(_writer: gguf.GGUFWriter, _config: Config) -> None:
    """Add nothing: the common keys are all that this architecture has."""


@dataclass(frozen=True, slots=True)
class Family:
    """What is particular to one architecture."""

    architecture: MODEL_ARCH
    interleaved: bool = False
    """llama.cpp rotates neighbouring rows where transformers rotates halves, so the rows of queries and keys are
    reordered."""
    norm_offset: float = 0.0
    """Added to the weights of norms: transformers' Gemma multiplies by 1 + weight."""
    transposed: tuple[str, ...] = ()
    """Ends of the names of matrices that are stored the other way round (GPT-2's Conv1D)."""
    needs_output: bool = False
    """llama.cpp wants an output matrix even where it is the token embedding."""
    skips_output: bool = False
    """llama.cpp has no output matrix for this architecture: it uses the token embedding."""
    space_prefix: bool | None = None
    """Whether SentencePiece puts a space before the text; None: as the tokenizer says."""
    writes_head: bool = True
    per_layer: bool = False
    """Each layer has counts and widths of its own: lists in config.json under the usual names, arrays in GGUF."""
    add_keys: AddKeys = _no_more


def family_of(config: Config) -> Family:
    """The family of the model's architecture. Raises ConversionError for one that cannot be converted."""
    family = _FAMILIES.get(config.architecture)
    if family is None:
        name = printable(config.architecture) or "an architecture it does not name"
        raise ConversionError(
            f"The model is a {name}, which cannot be converted here yet.",
            f"Known are {', '.join(sorted({arch.name.title() for arch in _known()}))}. Look for its GGUF files.",
        )
    return family


def add_common_keys(writer: gguf.GGUFWriter, config: Config, family: Family) -> None:
    """Write the keys that every architecture has."""
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    if family.per_layer:
        _add_widths_of_layers(writer, config)
    else:
        writer.add_feed_forward_length(config.count("intermediate_size", "n_inner", default=4 * config.width))
        writer.add_head_count(config.heads)
        if config.get("num_key_value_heads") is not None:
            writer.add_head_count_kv(config.kv_heads)
    if config.get("rms_norm_eps") is not None:
        writer.add_layer_norm_rms_eps(config.number("rms_norm_eps"))
    for name in ("layer_norm_eps", "layer_norm_epsilon"):
        if config.get(name) is not None:
            writer.add_layer_norm_eps(config.number(name))
    if config.get("head_dim") is not None and family.writes_head:
        writer.add_key_length(config.head)
        writer.add_value_length(config.head)
    family.add_keys(writer, config)


def _add_widths_of_layers(writer: gguf.GGUFWriter, config: Config) -> None:
    for layer, (heads, kv_heads) in enumerate(zip(config.heads_of, config.kv_heads_of, strict=True)):
        if heads % kv_heads:
            raise ConversionError(
                f"Layer {layer} has {heads} heads, which do not divide among its {kv_heads} KV heads.",
                "The folder is of another program, or damaged: make it again.",
            )
    writer.add_feed_forward_length(config.ffn_of)
    writer.add_head_count(config.heads_of)
    writer.add_head_count_kv(config.kv_heads_of)


def _rotated(config: Config) -> int:
    """Number of elements of a head that are rotated."""
    return int(parameters(config)[0].get("partial_rotary_factor", 1.0) * config.head)


def _llama(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_vocab_size(config.vocabulary)
    writer.add_rope_dimension_count(config.head)


def _deci(writer: gguf.GGUFWriter, config: Config) -> None:
    """llama.cpp's graph has SILU, one rotation of whole heads, and neither q/k norms nor a sliding window."""
    if config.get("hidden_act", default="silu") != "silu" or config.get("sliding_window") is not None:
        raise ConversionError(
            "The model's layers differ in width, and llama.cpp runs such models only with SILU and without a sliding "
            "window.",
            "Prune with the same width in all layers.",
        )
    _llama(writer, config)


def _granite(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_vocab_size(config.vocabulary)
    writer.add_rope_dimension_count(config.width // config.heads)
    writer.add_attention_scale(config.number("attention_multiplier"))
    writer.add_embedding_scale(config.number("embedding_multiplier"))
    writer.add_residual_scale(config.number("residual_multiplier"))
    writer.add_logit_scale(config.number("logits_scaling"))


def _phi3(writer: gguf.GGUFWriter, config: Config) -> None:
    full, _ = parameters(config)
    original = full.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    writer.add_rope_scaling_orig_ctx_len(int(original or config.context))
    writer.add_rope_dimension_count(_rotated(config))
    writer.add_sliding_window(config.get("sliding_window", default=0))


def _gemma2(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_attn_logit_softcapping(config.number("attn_logit_softcapping"))
    writer.add_final_logit_softcapping(config.number("final_logit_softcapping"))
    writer.add_sliding_window(config.count("sliding_window"))


def _gemma3(writer: gguf.GGUFWriter, config: Config) -> None:
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config.number("final_logit_softcapping"))
    writer.add_sliding_window(config.count("sliding_window"))
    _, sliding = parameters(config)
    if "rope_theta" in sliding:
        writer.add_rope_freq_base_swa(float(sliding["rope_theta"]))


def _stablelm(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_rope_dimension_count(_rotated(config))
    writer.add_parallel_residual(bool(config.get("use_parallel_residual", default=True)))


_CONV1D = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")
_LLAMA = Family(MODEL_ARCH.LLAMA, interleaved=True, add_keys=_llama)
_GEMMA3 = Family(MODEL_ARCH.GEMMA3, norm_offset=1.0, space_prefix=False, add_keys=_gemma3)
_FAMILIES = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "DeciLMForCausalLM": Family(MODEL_ARCH.DECI, interleaved=True, per_layer=True, add_keys=_deci),
    "SmolLM3ForCausalLM": Family(MODEL_ARCH.SMOLLM3, interleaved=True, add_keys=_llama),
    "GraniteForCausalLM": Family(MODEL_ARCH.GRANITE, interleaved=True, writes_head=False, add_keys=_granite),
    "Qwen2ForCausalLM": Family(MODEL_ARCH.QWEN2),
    "Qwen3ForCausalLM": Family(MODEL_ARCH.QWEN3),
    "Phi3ForCausalLM": Family(MODEL_ARCH.PHI3, add_keys=_phi3),
    "GemmaForCausalLM": Family(MODEL_ARCH.GEMMA, norm_offset=1.0, skips_output=True, space_prefix=False),
    "Gemma2ForCausalLM": Family(
        MODEL_ARCH.GEMMA2, norm_offset=1.0, skips_output=True, space_prefix=False, add_keys=_gemma2
    ),
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": _GEMMA3,  # only its language model is converted; pictures need a second file
    "Olmo2ForCausalLM": Family(MODEL_ARCH.OLMO2, needs_output=True),
    "StableLmForCausalLM": Family(MODEL_ARCH.STABLELM, needs_output=True, add_keys=_stablelm),
    "GPT2LMHeadModel": Family(MODEL_ARCH.GPT2, transposed=_CONV1D),
}


def _known() -> set[MODEL_ARCH]:
    return {family.architecture for family in _FAMILIES.values()}


# How the angles of the rotary position embedding follow from a position, in GGUF's terms: keys, and for some schemes
# tensors.
#
# Sources: transformers' modeling_rope_utils.py for the parameters, llama.cpp's conversion/ for their names in GGUF.


Extra = dict[str, NDArray[np.float32]]


def parameters(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rotary parameters of full and of sliding attention, from transformers 5's `rope_parameters` or the older
    keys.
    """
    given = config.get("rope_parameters", "rope_scaling", default={})
    given = given if isinstance(given, dict) else {}
    full = dict(given.get("full_attention") or given)
    sliding = dict(given.get("sliding_attention") or {})
    if config.get("rope_theta") is not None:
        full.setdefault("rope_theta", config.get("rope_theta"))
    if config.get("rope_local_base_freq") is not None:
        sliding.setdefault("rope_theta", config.get("rope_local_base_freq"))
    if config.get("partial_rotary_factor") is not None:
        full.setdefault("partial_rotary_factor", config.get("partial_rotary_factor"))
    full.setdefault("rope_type", full.get("type", "default"))
    return full, sliding


def add_rope(writer: gguf.GGUFWriter, config: Config) -> Extra:
    """Write the rotary keys, return the tensors to store beside them. Raises ConversionError for an unknown scheme."""
    full, _ = parameters(config)
    if full.get("rope_theta") is not None:
        writer.add_rope_freq_base(float(full["rope_theta"]))
    kind = str(full["rope_type"]).lower()
    try:
        return _SCHEMES[kind](writer, config, full)
    except KeyError as error:
        if kind not in _SCHEMES:
            raise ConversionError(
                f"The model turns positions in a way that is not known here (“{printable(kind)}”).",
                "A newer Bantam may convert it; look for its GGUF files meanwhile.",
            ) from error
        raise ConversionError(f"config.json does not say the “{error.args[0]}” of its positions.") from error


def _default(_writer: gguf.GGUFWriter, _config: Config, _full: dict[str, Any]) -> Extra:
    return {}


def _linear(writer: gguf.GGUFWriter, _config: Config, full: dict[str, Any]) -> Extra:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(float(full["factor"]))
    return {}


def _yarn(writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(float(full["factor"]))
    writer.add_rope_scaling_orig_ctx_len(int(full.get("original_max_position_embeddings") or config.context))
    return {}


def _llama3(_writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    """Llama 3.1's scheme: slow rotations are slowed further, blended between two wavelengths. It has a tensor of
    divisors and no key.
    """
    factor, low, high = (float(full[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(full["original_max_position_embeddings"])
    head = config.head
    frequencies = 1.0 / float(full["rope_theta"]) ** (np.arange(0, head, 2, dtype=np.float32) / head)
    wavelengths = 2 * math.pi / frequencies
    blend = (context / wavelengths - low) / (high - low)
    divisors = 1 / ((1 - blend) / factor + blend)
    divisors = np.where(wavelengths < context / high, 1.0, np.where(wavelengths > context / low, factor, divisors))
    return {"rope_freqs.weight": divisors.astype(np.float32)}


def _longrope(writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    original = full.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    if not isinstance(original, int):
        raise KeyError("original_max_position_embeddings")
    scale = config.context / original
    attention = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
    writer.add_rope_scaling_attn_factors(float(full.get("attention_factor") or attention))
    return {
        "rope_factors_long.weight": np.array(full["long_factor"], np.float32),
        "rope_factors_short.weight": np.array(full["short_factor"], np.float32),
    }


_SCHEMES = {
    "default": _default,
    "linear": _linear,
    "yarn": _yarn,
    "llama3": _llama3,
    "longrope": _longrope,
    "su": _longrope,
}
