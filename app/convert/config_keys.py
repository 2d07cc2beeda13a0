"""The rule for config.json: every key is used, known to be harmless, or a refusal that names it.

A key that changes what transformers computes and that no GGUF key carries to llama.cpp is accepted with the values
alone that llama.cpp's graph has built in. The fields of transformers' class (resources/convert/config_classes.json) are
all that its model reads, so that any other key is harmless, unless a newer transformers wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from app.convert.configuration import Config, is_newer_transformers
from app.errors import ConversionError
from app.library.gguf_reader import printable

Allowed = Callable[[Config, Any], bool]
"""Whether llama.cpp computes what transformers does with this value of a key."""

USED = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "rms_norm_eps",
        "layer_norm_eps",
        "layer_norm_epsilon",
        "tie_word_embeddings",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "partial_rotary_factor",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "n_embd",
        "n_layer",
        "n_head",
        "n_inner",
        "n_positions",
        "n_ctx",
    }
)
"""Keys that the conversion reads, whatever the architecture."""

HARMLESS = frozenset(
    {
        # Training and bookkeeping.
        "initializer_range",
        "attention_dropout",
        "hidden_dropout",
        "resid_pdrop",
        "embd_pdrop",
        "attn_pdrop",
        "pretraining_tp",
        "reorder_and_upcast_attn",
        "use_cache",
        "transformers_version",
        "architectures",
        "model_type",
        "dtype",
        "torch_dtype",
        "auto_map",
        "_name_or_path",
        "_attn_implementation_autoset",
        "use_bfloat16",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
        "is_decoder",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torchscript",
        "cache_implementation",
        "task_specific_params",
        "id2label",
        "label2id",
        "problem_type",
        # Heads for other tasks.
        "summary_type",
        "summary_use_proj",
        "summary_activation",
        "summary_proj_to_labels",
        "summary_first_dropout",
    }
)
"""Keys that change no answer."""


def only(*values: Any) -> Allowed:
    """One of these values and no other; a bool is no number here."""
    return lambda _config, value: any(value == known and type(value) is type(known) for known in values)


def off(_config: Config, value: Any) -> bool:
    """Whether the value switches the feature off: false, zero or null."""
    return not value


def window_beyond_context(config: Config, value: Any) -> bool:
    """Whether no position of the context is outside the sliding window. llama.cpp has no window for these families."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= config.context)


def window_not_used(config: Config, value: Any) -> bool:
    """Whether the sliding window of Qwen and SmolLM3 is switched off, or no layer uses it."""
    return window_beyond_context(config, value) or not config.get("use_sliding_window")


def all_full(_config: Config, value: Any) -> bool:
    """Whether every layer attends to the whole context."""
    return value is None or (isinstance(value, list) and set(value) <= {"full_attention"})


SILU = only("silu", "swish")
TANH_GELU = only("gelu_pytorch_tanh", "gelu_new", "gelu_fast")


def check_keys(config: Config, used: Collection[str], fixed: Mapping[str, Allowed]) -> None:
    """Raise ConversionError for a key of `config` that the conversion would leave out.

    `used` are the keys that the architecture alone has; `fixed` those that llama.cpp has built in, with their values.
    """
    for name, value in config.values.items():
        if name in fixed:
            if not fixed[name](config, value):
                raise _refusal(name, value, "llama.cpp computes it in another way.")
        elif name in USED or name in HARMLESS or name in used:
            continue
        elif name in config.fields:
            if value != config.fields[name]:
                raise _refusal(name, value, "What it does is not known here.")
        elif value and is_newer_transformers(config.get("transformers_version")):
            raise _refusal(name, value, "It is of a newer transformers than is known here.")


def check_rope_keys(parameters: Mapping[str, Any], used: Collection[str], fixed: Mapping[str, Allowed]) -> None:
    """Raise ConversionError for a rotary parameter that would be left out; `used` and `fixed` as of `check_keys`."""
    for name, value in parameters.items():
        if name in used or value is None:
            continue
        if name not in fixed or not fixed[name](_NO_CONFIG, value):
            raise _refusal(name, value, "llama.cpp turns positions without it.")


_NO_CONFIG = Config({})


def _refusal(name: str, value: Any, why: str) -> ConversionError:
    return ConversionError(
        f"config.json says “{printable(name)}”: {printable(repr(value), 60)}. {why}",
        "A converted file would answer wrongly. Look for the model's GGUF files.",
    )
