"""A Llama in numpy, in f32, that keeps what flows into each matrix: written from the paper, knows nothing of ggml.

Only what the starter model needs: RMS norm, rotary positions on neighbouring pairs (GGUF's order), grouped queries,
SwiGLU.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize


def inputs_of_matrices(path: Path, tokens: list[int]) -> dict[str, np.ndarray]:
    """By name of the weight: its input rows `[token, column]` while the model reads `tokens`."""
    reader = gguf.GGUFReader(path)
    weights = {t.name: dequantize(t.data, t.tensor_type) for t in reader.tensors}

    def value(name: str) -> float:
        return reader.fields[f"llama.{name}"].contents()

    heads, kv_heads = int(value("attention.head_count")), int(value("attention.head_count_kv"))
    inputs: dict[str, np.ndarray] = {}

    def times(x: np.ndarray, name: str) -> np.ndarray:
        inputs[name] = x
        return x @ weights[name].T

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + value("attention.layer_norm_rms_epsilon")) * weights[name]

    x = weights["token_embd.weight"][tokens]
    for layer in range(int(value("block_count"))):
        at = f"blk.{layer}."
        h = norm(x, at + "attn_norm.weight")
        q, k, v = (times(h, f"{at}attn_{which}.weight") for which in "qkv")
        q, k = (_rotated(a.reshape(len(a), -1, q.shape[1] // heads), value("rope.freq_base")) for a in (q, k))
        k, v = (np.repeat(a.reshape(len(a), kv_heads, -1), heads // kv_heads, 1) for a in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + times(np.einsum("hqk,khd->qhd", shares, v).reshape(len(x), -1), at + "attn_output.weight")
        h = norm(x, at + "ffn_norm.weight")
        gate, up = times(h, at + "ffn_gate.weight"), times(h, at + "ffn_up.weight")
        x = x + times(gate / (1 + np.exp(-gate)) * up, at + "ffn_down.weight")
    return inputs


def _rotated(x: np.ndarray, base: float) -> np.ndarray:
    """Pairs (2i, 2i+1) turned by position x base^(-2i/d)."""
    size = x.shape[-1]
    angles = np.arange(len(x))[:, None, None] * base ** (-np.arange(0, size, 2) / size)
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles))
    return np.stack(turned, -1).reshape(x.shape)
