"""A real model with outliers planted in it: the same function, a few columns of each input sixteen times as large."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from app.convert import checkpoint
from tests.real_models import STDLIB_3M, write_safetensors

_FACTOR, _SHARE = 16, 50
"""One column in fifty. A power of two, so that 16-bit weights stay what they are."""


def with_outliers(folder: Path, source: Path = STDLIB_3M) -> Path:
    """Write it; returns `folder`."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = {
        name: checkpoint.as_float32(tensor.rows(0, tensor.shape[0]), tensor.dtype).copy()
        for name, tensor in checkpoint.open_checkpoint(source).items()
    }
    random = np.random.default_rng(0)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if ".layers." in name)
    for layer in range(layers):
        _plant(weights, f"model.layers.{layer}.", random)
    write_safetensors(folder / "model.safetensors", weights)
    return folder


def _plant(weights: dict[str, np.ndarray], layer: str, random: np.random.Generator) -> None:
    for maker, readers in (
        ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        ("mlp.up_proj", ("mlp.down_proj",)),
    ):
        made = weights[f"{layer}{maker}.weight"]
        scale = np.ones(len(made), np.float32)
        scale[random.permutation(len(made))[: len(made) // _SHARE]] = _FACTOR
        weights[f"{layer}{maker}.weight"] = made * (scale if made.ndim == 1 else scale[:, None])
        for reader in readers:
            weights[f"{layer}{reader}.weight"] /= scale
