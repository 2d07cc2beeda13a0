"""How positions are turned into angles, as GGUF says it: keys, and for some schemes tensors.

Sources: transformers' modeling_rope_utils.py for the parameters, llama.cpp's conversion/ for their names in GGUF.
"""

from __future__ import annotations

import math
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from app.convert.configuration import Config
from app.errors import ConversionError
from app.library.gguf_reader import printable

Extra = dict[str, NDArray[np.float32]]


def parameters(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of full and those of sliding attention, from transformers 5's `rope_parameters` or the older keys."""
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
    """Write the keys; returns the tensors to store beside them. Raises ConversionError for an unknown scheme."""
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
    """Llama 3.1: slow rotations are slowed further, blended between two wavelengths. No key, a tensor of divisors."""
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
