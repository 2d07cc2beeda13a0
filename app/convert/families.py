"""What differs between the architectures that can be converted: their GGUF keys and what happens to their tensors.

Sources: transformers' modeling files for what a weight means, llama.cpp's src/models/ for what it expects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gguf
import numpy as np
from gguf import MODEL_ARCH
from numpy.typing import NDArray

from app.convert.config_keys import (
    SILU,
    TANH_GELU,
    Allowed,
    all_full,
    check_keys,
    check_rope_keys,
    off,
    only,
    window_beyond_context,
    window_not_used,
)
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
    used: frozenset[str] = frozenset()
    """Keys of config.json that `add_keys` reads."""
    fixed: Mapping[str, Allowed] = field(default_factory=dict)
    """Keys that llama.cpp has built in, each with the values that it computes."""
    partly_rotated: bool = False
    """Whether `partial_rotary_factor` may be another than 1."""
    rope_tensors: bool = False
    """Whether llama.cpp reads divisors of the rotation from a tensor: what Llama 3's scheme and LongRoPE need."""


def family_of(config: Config) -> Family:
    """The family of the model's architecture. Raises ConversionError for one that cannot be converted."""
    family = _FAMILIES.get(config.architecture)
    if family is None:
        name = printable(config.architecture) or "an architecture it does not name"
        raise ConversionError(
            f"The model is {_article(name)} {name}, which cannot be converted here yet.",
            f"Known are {', '.join(sorted(_family_names()))}. Look for its GGUF files.",
        )
    return family


def add_common_keys(writer: gguf.GGUFWriter, config: Config, family: Family) -> None:
    """Write the keys that every architecture has. Raises ConversionError for one of config.json that would be lost."""
    check_keys(config, family.used, family.fixed)
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


def _granite(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_vocab_size(config.vocabulary)
    writer.add_rope_dimension_count(config.width // config.heads)
    writer.add_attention_scale(config.number("attention_multiplier"))
    writer.add_embedding_scale(config.number("embedding_multiplier"))
    writer.add_residual_scale(config.number("residual_multiplier"))
    writer.add_logit_scale(config.number("logits_scaling"))


def _phi3(writer: gguf.GGUFWriter, config: Config) -> None:
    full, _ = parameters(config)
    writer.add_rope_scaling_orig_ctx_len(_original_context(config, full) or config.context)
    writer.add_rope_dimension_count(_rotated(config))
    writer.add_sliding_window(config.get("sliding_window", default=0))


def _gemma2(writer: gguf.GGUFWriter, config: Config) -> None:
    for name, add in (
        ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
        ("final_logit_softcapping", writer.add_final_logit_softcapping),
    ):
        add(config.number(name))
    _add_windows(writer, config, every=2)


def _gemma3(writer: gguf.GGUFWriter, config: Config) -> None:
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config.number("final_logit_softcapping"))
    _add_windows(writer, config, every=6)
    _, sliding = parameters(config)
    if "rope_theta" in sliding:
        writer.add_rope_freq_base_swa(float(sliding["rope_theta"]))


def _add_windows(writer: gguf.GGUFWriter, config: Config, *, every: int) -> None:
    """Write the sliding window, and which layers have it where that is not all but each layer number `every`."""
    kinds = config.get("layer_types")
    period = config.get("sliding_window_pattern", "_sliding_window_pattern", default=every)
    if kinds is None and (not isinstance(period, int) or period < 1):
        raise ConversionError("config.json says no “sliding_window_pattern” that can be.", "Download it again.")
    slides = [
        (kind == "sliding_attention") if kinds is not None else bool((layer + 1) % period)
        for layer, kind in enumerate(kinds if kinds is not None else [None] * config.layers)
    ]
    if len(slides) != config.layers or (kinds is not None and not set(kinds) <= _ATTENTIONS):
        raise ConversionError(
            f"config.json does not say the “layer_types” of the model's {config.layers} layers.", "Download it again."
        )
    if not any(slides):
        raise ConversionError("No layer of the model has a sliding window, and llama.cpp expects some that do.")
    writer.add_sliding_window(config.count("sliding_window"))
    if slides != [bool((layer + 1) % every) for layer in range(config.layers)]:
        writer.add_sliding_window_pattern(slides)


_ATTENTIONS = {"sliding_attention", "full_attention"}


def _scalar_of_gemma(layers_of_27b: int) -> Allowed:
    """Gemma's scale of attention: llama.cpp takes it from a head's width, and for the 27B from the model's."""

    def allowed(config: Config, value: Any) -> bool:
        return bool(value == (config.width // config.heads if config.layers == layers_of_27b else config.head))

    return allowed


def _each_fourth_without_rope(config: Config, value: Any) -> bool:
    return value is None or value == [int((layer + 1) % 4 != 0) for layer in range(config.layers)]


def _interval_of_four(config: Config, value: Any) -> bool:
    return value == 4 or config.get("no_rope_layers") is not None


def _stablelm(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_rope_dimension_count(_rotated(config))
    writer.add_parallel_residual(bool(config.get("use_parallel_residual", default=False)))


def _any_bias(_config: Config, _value: Any) -> bool:
    """Whether there are biases is seen in the tensors: llama.cpp takes them as they are."""
    return True


_CONV1D = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")
_PLAIN: dict[str, Allowed] = {"hidden_act": SILU, "attention_bias": off, "mlp_bias": off}
"""Values that most families share: SILU and no biases."""
_QWEN_WINDOWS: dict[str, Allowed] = {
    "sliding_window": window_not_used,
    "layer_types": all_full,
    "use_sliding_window": lambda config, value: (
        not value or window_beyond_context(config, config.get("sliding_window"))
    ),
    "max_window_layers": lambda _config, _value: True,  # means something with use_sliding_window alone
}
_GEMMA: dict[str, Allowed] = {
    "hidden_activation": TANH_GELU,
    "hidden_act": lambda _config, _value: True,  # not read: `hidden_activation` is
    "attention_bias": off,
    "use_bidirectional_attention": off,
    "tie_word_embeddings": only(True),  # llama.cpp has no other output matrix for them
}
_WINDOWS = frozenset({"sliding_window", "layer_types", "sliding_window_pattern", "_sliding_window_pattern"})
_LLAMA = Family(
    MODEL_ARCH.LLAMA,
    interleaved=True,
    rope_tensors=True,
    add_keys=_llama,
    fixed={"hidden_act": SILU, "attention_bias": _any_bias, "mlp_bias": _any_bias},
)
_GEMMA3 = Family(
    MODEL_ARCH.GEMMA3,
    norm_offset=1.0,
    space_prefix=False,
    add_keys=_gemma3,
    used=_WINDOWS | {"final_logit_softcapping", "rope_local_base_freq"},
    # Gemma 3's attention has no cap, whatever the key says.
    fixed=_GEMMA
    | {"query_pre_attn_scalar": _scalar_of_gemma(62), "attn_logit_softcapping": lambda _config, _value: True},
)
_FAMILIES = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": Family(
        MODEL_ARCH.LLAMA,
        interleaved=True,
        rope_tensors=True,
        add_keys=_llama,
        fixed={"hidden_act": SILU, "sliding_window": window_beyond_context},
    ),
    # llama.cpp's graph of layers that differ in width has SILU and one rotation of whole heads.
    "DeciLMForCausalLM": Family(
        MODEL_ARCH.DECI,
        interleaved=True,
        per_layer=True,
        rope_tensors=True,
        add_keys=_llama,
        fixed={
            "hidden_act": SILU,
            "attention_bias": _any_bias,
            "mlp_bias": _any_bias,
            "sliding_window": off,
            "use_sliding_window": off,
            "layer_types": all_full,
        },
    ),
    "SmolLM3ForCausalLM": Family(
        MODEL_ARCH.SMOLLM3,
        interleaved=True,
        add_keys=_llama,
        fixed=_PLAIN
        | _QWEN_WINDOWS
        | {"no_rope_layers": _each_fourth_without_rope, "no_rope_layer_interval": _interval_of_four},
    ),
    "GraniteForCausalLM": Family(
        MODEL_ARCH.GRANITE,
        interleaved=True,
        writes_head=False,
        rope_tensors=True,
        add_keys=_granite,
        used=frozenset({"attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling"}),
        fixed=_PLAIN,
    ),
    "Qwen2ForCausalLM": Family(MODEL_ARCH.QWEN2, fixed={"hidden_act": SILU} | _QWEN_WINDOWS),
    "Qwen3ForCausalLM": Family(MODEL_ARCH.QWEN3, fixed=_PLAIN | _QWEN_WINDOWS),
    "Phi3ForCausalLM": Family(
        MODEL_ARCH.PHI3,
        rope_tensors=True,
        add_keys=_phi3,
        partly_rotated=True,
        used=frozenset({"original_max_position_embeddings"}),
        fixed={"hidden_act": SILU, "sliding_window": window_beyond_context},
    ),
    "GemmaForCausalLM": Family(
        MODEL_ARCH.GEMMA,
        norm_offset=1.0,
        skips_output=True,
        space_prefix=False,
        fixed=_GEMMA | {"hidden_act": TANH_GELU, "hidden_activation": lambda _config, _value: True},
    ),
    "Gemma2ForCausalLM": Family(
        MODEL_ARCH.GEMMA2,
        norm_offset=1.0,
        skips_output=True,
        space_prefix=False,
        add_keys=_gemma2,
        used=_WINDOWS | {"attn_logit_softcapping", "final_logit_softcapping"},
        fixed=_GEMMA | {"query_pre_attn_scalar": _scalar_of_gemma(46)},
    ),
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": _GEMMA3,  # only its language model is converted; pictures need a second file
    "Olmo2ForCausalLM": Family(MODEL_ARCH.OLMO2, needs_output=True, fixed=_PLAIN),
    "StableLmForCausalLM": Family(
        MODEL_ARCH.STABLELM,
        needs_output=True,
        add_keys=_stablelm,
        partly_rotated=True,
        used=frozenset({"use_parallel_residual"}),
        fixed={"hidden_act": SILU, "use_qkv_bias": _any_bias, "qk_layernorm": off},
    ),
    "GPT2LMHeadModel": Family(
        MODEL_ARCH.GPT2,
        transposed=_CONV1D,
        fixed={
            "activation_function": TANH_GELU,
            "scale_attn_weights": only(True),
            "scale_attn_by_inverse_layer_idx": off,
            "add_cross_attention": off,
        },
    ),
}


def _family_names() -> set[str]:
    """The names that people know the families by."""
    own = ("DeciLMForCausalLM", "Gemma3ForConditionalGeneration")  # Bantam's own, and another name of Gemma 3
    return {name.removesuffix("ForCausalLM").removesuffix("LMHeadModel") for name in _FAMILIES if name not in own}


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" else "a"


# How the angles of the rotary position embedding follow from a position, in GGUF's terms: keys, and for some schemes
# tensors.
#
# Sources: transformers' modeling_rope_utils.py for the parameters, llama.cpp's conversion/ for their names in GGUF.


Extra = dict[str, NDArray[np.float32]]


def parameters(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rotary parameters of full and of sliding attention, from transformers 5's `rope_parameters`, the older keys,
    and where neither says it transformers' class.
    """
    given = config.get("rope_parameters", "rope_scaling", default={})
    if not isinstance(given, dict):
        raise ConversionError(
            "config.json says its “rope_parameters” in no way that can be read.", "Download it again."
        )
    usual = config.default_rope
    full, sliding = _by_attention(given) if "full_attention" in usual else (dict(given), {})
    for name, value in (("rope_theta", config.get("rope_theta")), *_dict(usual.get("full_attention", usual)).items()):
        _fill(full, name, value)
    _fill(sliding, "rope_theta", config.get("rope_local_base_freq"))
    for name, value in _dict(usual.get("sliding_attention")).items():
        _fill(sliding, name, value)
    if config.get("partial_rotary_factor") is not None:
        full["partial_rotary_factor"] = config.get("partial_rotary_factor")
    for each in (full, sliding):
        _fill(each, "rope_type", each.get("type", "default"))
    return full, sliding


def _by_attention(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of full and of sliding attention; those of older folders are of full attention alone."""
    rest = {name: value for name, value in given.items() if name not in _ATTENTIONS}
    full = _dict(given.get("full_attention"))
    if full and rest:
        raise ConversionError(
            f"config.json says “{printable(next(iter(rest)))}” beside its “full_attention”; only one can be meant.",
            "Look for the model's GGUF files.",
        )
    return full or rest, _dict(given.get("sliding_attention"))


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _fill(values: dict[str, Any], name: str, value: Any) -> None:
    """Set what is not there yet."""
    if values.get(name) is None and value is not None:
        values[name] = value


_ALWAYS = frozenset({"rope_type", "type", "rope_theta"})
_ROPE_KEYS: dict[str, frozenset[str]] = {
    "default": frozenset({"original_max_position_embeddings", "factor"}),  # read by no scheme of this name
    "linear": frozenset({"factor", "original_max_position_embeddings"}),
    "yarn": frozenset(
        {"factor", "original_max_position_embeddings", "attention_factor", "mscale", "mscale_all_dim", "finetuned"}
    ),
    "llama3": frozenset({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}),
    "longrope": frozenset(
        {"factor", "short_factor", "long_factor", "original_max_position_embeddings", "attention_factor"}
    ),
}
_ROPE_FIXED: dict[str, Allowed] = {
    "beta_fast": lambda _config, value: value == 32,
    "beta_slow": lambda _config, value: value == 1,
    "truncate": only(True),
    "partial_rotary_factor": lambda _config, value: value == 1,
}


def add_rope(writer: gguf.GGUFWriter, config: Config, family: Family) -> Extra:
    """Write the rotary keys, return the tensors to store beside them. Raises ConversionError for an unknown scheme."""
    full, sliding = parameters(config)
    kind = str(full["rope_type"]).lower()
    kind = "longrope" if kind == "su" else kind
    known = kind in _SCHEMES and (family.rope_tensors or kind not in ("llama3", "longrope"))
    if not known or sliding["rope_type"] != "default":
        named = str(sliding["rope_type"]) if known else kind
        raise ConversionError(
            f"The model turns positions in a way that is not known here (“{printable(named)}”).",
            "A newer Bantam may convert it; look for its GGUF files meanwhile.",
        )
    check_rope_keys(
        full, _ALWAYS | _ROPE_KEYS[kind] | ({"partial_rotary_factor"} if family.partly_rotated else set()), _ROPE_FIXED
    )
    check_rope_keys(sliding, _ALWAYS, _ROPE_FIXED)
    if full.get("rope_theta") is not None:
        writer.add_rope_freq_base(_positive(full, "rope_theta"))
    try:
        return _SCHEMES[kind](writer, config, full)
    except KeyError as error:
        raise ConversionError(f"config.json does not say the “{error.args[0]}” of its positions.") from error


def _positive(full: dict[str, Any], name: str) -> float:
    """A number above zero. Raises ConversionError; KeyError where it is missing."""
    value = full[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConversionError(f"config.json says no “{name}” of its positions that can be.", "Download it again.")
    return float(value)


def _default(_writer: gguf.GGUFWriter, _config: Config, _full: dict[str, Any]) -> Extra:
    return {}


def _linear(writer: gguf.GGUFWriter, _config: Config, full: dict[str, Any]) -> Extra:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(_positive(full, "factor"))
    return {}


def _original_context(config: Config, full: dict[str, Any]) -> int | None:
    """The context before it was stretched; transformers prefers what stands outside the rotary parameters."""
    value = config.get("original_max_position_embeddings") or full.get("original_max_position_embeddings")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _yarn(writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    """YaRN (Peng et al. 2023). llama.cpp multiplies its own scale of attention, 1 + 0.1 ln(factor), by the key's."""
    factor = _positive(full, "factor")
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(factor)
    writer.add_rope_scaling_orig_ctx_len(_original_context(config, full) or config.context)
    if full.get("attention_factor") is not None:
        attention = _positive(full, "attention_factor")
    elif full.get("mscale") and full.get("mscale_all_dim"):
        scales = (_yarn_scale(factor, _positive(full, name)) for name in ("mscale", "mscale_all_dim"))
        attention = next(scales) / next(scales)
    else:
        return {}
    writer.add_rope_scaling_attn_factors(attention / _yarn_scale(factor, 1.0))
    return {}


def _yarn_scale(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _llama3(_writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    """Llama 3.1's scheme: slow rotations are slowed further, blended between two wavelengths. It has a tensor of
    divisors and no key.
    """
    factor, low, high = (_positive(full, name) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(_original_context(config, full) or config.context)
    head = config.head
    frequencies = 1.0 / _positive(full, "rope_theta") ** (np.arange(0, head, 2, dtype=np.float32) / head)
    wavelengths = 2 * math.pi / frequencies
    blend = (context / wavelengths - low) / (high - low)
    divisors = 1 / ((1 - blend) / factor + blend)
    divisors = np.where(wavelengths < context / high, 1.0, np.where(wavelengths > context / low, factor, divisors))
    return {"rope_freqs.weight": divisors.astype(np.float32)}


def _longrope(writer: gguf.GGUFWriter, config: Config, full: dict[str, Any]) -> Extra:
    original = _original_context(config, full)
    if original is None:
        raise KeyError("original_max_position_embeddings")
    scale = config.context / original
    attention = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
    given = full.get("attention_factor") is not None
    writer.add_rope_scaling_attn_factors(_positive(full, "attention_factor") if given else attention)
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
}
