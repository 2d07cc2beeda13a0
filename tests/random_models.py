"""Small models of several architectures with random weights, as GGUF files that llama.cpp loads and runs.

For memory and speed, and for what the header says: what they answer is noise. The tokenizer is byte-level BPE with
one level of merges: "ab" is one token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from tests.benchmarks.shapes import _add_tokenizer, _random, _row_bytes, _vocabulary


@dataclass(frozen=True)
class Recipe:
    """The numbers of a model; `head` is the width of one head where it is not embedding / heads."""

    architecture: str
    width: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 2
    head: int = 32
    ffn: int = 768
    vocabulary: int = 4096
    context: int = 32768
    experts: int = 0
    used_experts: int = 0
    window: int = 0
    kind: Type = Type.Q4_0


RECIPES = {
    recipe.architecture: recipe
    for recipe in (
        Recipe("llama"),
        Recipe("qwen2"),
        Recipe("qwen3", head=64),
        Recipe("gemma3", head=64, window=512, layers=6),
        Recipe("qwen3moe", ffn=512, experts=8, used_experts=2, head=64),
    )
}


def write_random(recipe: Recipe, path: Path, seed: int = 1) -> Path:
    """Write the model; returns `path`."""
    writer = gguf.GGUFWriter(path, recipe.architecture)
    _add_header(writer, recipe)
    _add_tokenizer(writer, _vocabulary(recipe.vocabulary))
    rng = np.random.default_rng(seed)
    for name, (shape, kind) in _tensors(recipe).items():
        rows = int(np.prod(shape[1:], dtype=np.int64))
        if kind is Type.F32:
            writer.add_tensor(name, np.ones(tuple(reversed(shape)), np.float32))
            continue
        data = _weights(rng, rows, shape[0], kind)
        byte_shape = (*reversed(shape[1:]), _row_bytes(shape[0], kind))
        writer.add_tensor(name, data.reshape(byte_shape), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_model(architecture: str, folder: Path, **changes: int) -> Path:
    """One of RECIPES, with other numbers where they are given."""
    recipe = replace(RECIPES[architecture], **changes)
    return write_random(recipe, folder / f"{architecture}.gguf")


def _weights(rng: np.random.Generator, rows: int, columns: int, kind: Type) -> np.ndarray:
    """Random weights as the bytes of their type, of a size that keeps what flows through them finite."""
    deviation = columns**-0.5
    if kind is Type.F16:
        return (rng.standard_normal((rows, columns), np.float32) * deviation).astype(np.float16).view(np.uint8)
    if kind is Type.Q8_0:  # f16 scale, 32 signed bytes
        blocks = rng.integers(0, 256, (rows * columns // 32, 34), np.uint8)
        blocks[:, :2] = np.array([deviation / 74], np.float16).view(np.uint8)
        return blocks.reshape(rows, _row_bytes(columns, kind))
    return _random(rng, rows, columns, kind)


def _add_header(writer: gguf.GGUFWriter, recipe: Recipe) -> None:
    writer.add_name(f"Random {recipe.architecture}")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(recipe.context)
    writer.add_embedding_length(recipe.width)
    writer.add_block_count(recipe.layers)
    writer.add_feed_forward_length(recipe.ffn)
    writer.add_head_count(recipe.heads)
    writer.add_head_count_kv(recipe.kv_heads)
    writer.add_key_length(recipe.head)
    writer.add_value_length(recipe.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(recipe.head)
    writer.add_vocab_size(recipe.vocabulary)
    if recipe.window:
        writer.add_sliding_window(recipe.window)
    if recipe.experts:
        writer.add_expert_count(recipe.experts)
        writer.add_expert_used_count(recipe.used_experts)
        writer.add_expert_feed_forward_length(recipe.ffn)


def _tensors(recipe: Recipe) -> dict[str, tuple[tuple[int, ...], Type]]:
    """Name -> (shape in ggml's order, type)."""
    width, kind, f32 = recipe.width, recipe.kind, Type.F32
    query, kv = recipe.heads * recipe.head, recipe.kv_heads * recipe.head
    tensors: dict[str, tuple[tuple[int, ...], Type]] = {"token_embd.weight": ((width, recipe.vocabulary), Type.Q6_K)}
    for n in range(recipe.layers):
        block: dict[str, tuple[tuple[int, ...], Type]] = {
            "attn_norm.weight": ((width,), f32),
            "attn_q.weight": ((width, query), kind),
            "attn_k.weight": ((width, kv), kind),
            "attn_v.weight": ((width, kv), kind),
            "attn_output.weight": ((query, width), kind),
            "ffn_norm.weight": ((width,), f32),
        }
        if recipe.architecture == "qwen2":
            block |= {f"attn_{x}.bias": ((size,), f32) for x, size in (("q", query), ("k", kv), ("v", kv))}
        if recipe.architecture in ("qwen3", "qwen3moe", "gemma3"):
            block |= {f"attn_{x}_norm.weight": ((recipe.head,), f32) for x in "qk"}
        if recipe.architecture == "gemma3":
            block |= dict.fromkeys(("post_attention_norm.weight", "post_ffw_norm.weight"), ((width,), f32))
        tensors |= {f"blk.{n}.{name}": value for name, value in (block | _feed_forward(recipe)).items()}
    return tensors | {"output_norm.weight": ((width,), f32)}


def _feed_forward(recipe: Recipe) -> dict[str, tuple[tuple[int, ...], Type]]:
    width, ffn, kind, experts = recipe.width, recipe.ffn, recipe.kind, recipe.experts
    if not experts:
        return {
            "ffn_gate.weight": ((width, ffn), kind),
            "ffn_up.weight": ((width, ffn), kind),
            "ffn_down.weight": ((ffn, width), kind),
        }
    return {
        "ffn_gate_inp.weight": ((width, experts), Type.F32),
        "ffn_gate_exps.weight": ((width, ffn, experts), kind),
        "ffn_up_exps.weight": ((width, ffn, experts), kind),
        "ffn_down_exps.weight": ((ffn, width, experts), kind),
    }
