"""A random mixture of experts of one layer, with the starter model's vocabulary."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from app.system.paths import STARTER_MODEL

EXPERTS, USED = 4, 2
_WIDTH, _FFN, _HEADS = 64, 32, 2


def write_mixture(path: Path, *, damaged: bool = False, bos: bool = False) -> np.ndarray:
    """Write it as f32; returns the router's weights `[expert, column]`. `damaged`: with an infinite weight;
    `bos`: it wants a first token."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    for key, number in {
        "context_length": 512,
        "embedding_length": _WIDTH,
        "block_count": 1,
        "feed_forward_length": _FFN,
        "attention.head_count": _HEADS,
        "expert_count": EXPERTS,
        "expert_used_count": USED,
        "rope.dimension_count": _WIDTH // _HEADS,
    }.items():
        writer.add_uint32(f"llama.{key}", number)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    vocabulary = _copy_vocabulary(writer, bos)
    shapes = {
        "token_embd": (vocabulary, _WIDTH),
        "output_norm": (_WIDTH,),
        "blk.0.attn_norm": (_WIDTH,),
        "blk.0.ffn_norm": (_WIDTH,),
        **{f"blk.0.attn_{name}": (_WIDTH, _WIDTH) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate_inp": (EXPERTS, _WIDTH),
        "blk.0.ffn_gate_exps": (EXPERTS, _FFN, _WIDTH),
        "blk.0.ffn_up_exps": (EXPERTS, _FFN, _WIDTH),
        "blk.0.ffn_down_exps": (EXPERTS, _WIDTH, _FFN),
    }
    tensors = {name: random.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    if damaged:
        tensors["blk.0.attn_norm"][3] = np.inf
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors["blk.0.ffn_gate_inp"]


def _copy_vocabulary(writer: gguf.GGUFWriter, bos: bool) -> int:
    """Everything of the starter's tokenizer; the number of tokens."""
    fields = gguf.GGUFReader(STARTER_MODEL).fields
    for key, field in fields.items():
        if key.startswith("tokenizer.") and key != "tokenizer.ggml.add_bos_token":
            kind, inner = field.types[0], field.types[-1]
            is_array = kind is gguf.GGUFValueType.ARRAY
            writer.add_key_value(key, field.contents(), kind, inner if is_array else None)
    writer.add_add_bos_token(bos)
    return len(fields["tokenizer.ggml.tokens"].data)
