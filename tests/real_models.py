"""Real, trained models in Hugging Face's format: what quantizing costs shows on them, and not on random weights.

`stdlib_3m` lies in tests/data. `starter_folder` writes the starter model's Q8_0 weights back as a folder of bf16
safetensors: for a test that folder is the source, with nothing lost before it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize

from app.system.paths import STARTER_MODEL

DATA = Path(__file__).parent / "data"
STDLIB_3M = DATA / "stdlib-3m"
CALIBRATION, EVAL_CHAT, EVAL_CODE = (DATA / f"{name}.txt" for name in ("calibration", "eval-chat", "eval-code"))

_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_HEADS = {"attn_q": 8, "attn_k": 4}


def starter_folder(folder: Path) -> Path:
    """Write the starter model as a Hugging Face folder; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in STDLIB_3M.iterdir():
        if file.name not in ("model.safetensors", "config.json"):
            shutil.copy(file, folder)
    config = json.loads((STDLIB_3M / "config.json").read_text())
    config |= {
        "hidden_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 1536,
        "head_dim": 64,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tensors = {_name(t.name): _weights(t) for t in gguf.GGUFReader(STARTER_MODEL).tensors}
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write f32 arrays as BF16, rounded to nearest even. Format: github.com/huggingface/safetensors, README."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    bodies, at = [], 0
    for name, array in tensors.items():
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        body = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": [at, at + len(body)]}
        bodies.append(body)
        at += len(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(bodies))


def _name(name: str) -> str:
    parts = name.split(".")
    if parts[0] != "blk":
        return {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[parts[0]] + ".weight"
    return f"model.layers.{parts[1]}.{_BLOCK_NAMES[parts[2]]}.weight"


def _weights(tensor: gguf.ReaderTensor) -> np.ndarray:
    """In f32, the rows of queries and keys back in Hugging Face's order (llama.cpp interleaves the rotary halves)."""
    weights = dequantize(tensor.data, tensor.tensor_type)
    kind = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
    if heads := _HEADS.get(kind):
        rows = weights.shape[0]
        weights = weights.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weights.shape)
    return weights
