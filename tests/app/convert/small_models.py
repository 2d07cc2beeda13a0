"""Small random models of every architecture that can be converted, made by transformers, at least 128 wide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.real_models import STDLIB_3M

VOCABULARY = 4096
_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 3,
    "pad_token_id": 1,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "long_factor": [1.0 + i / 8 for i in range(16)],
    "short_factor": [1.0 + i / 16 for i in range(16)],
    "original_max_position_embeddings": 512,
}
_GEMMA = {"head_dim": 64, "sliding_window": 64, "query_pre_attn_scalar": 64}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama3": ("Llama", {"rope_parameters": _LLAMA3, "tie_word_embeddings": True}),
    "llama-linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}}),
    "llama-biased": ("Llama", {"attention_bias": True}),
    "mistral": ("Mistral", {"head_dim": 64, "sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2-yarn": (
        "Qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 128,
            }
        },
    ),
    "qwen3": ("Qwen3", {"head_dim": 64, "tie_word_embeddings": True}),
    "phi3": ("Phi3", {"sliding_window": None}),
    "phi3-long": ("Phi3", {"sliding_window": None, "rope_parameters": _LONG, "max_position_embeddings": 512}),
    "gemma": ("Gemma", {"head_dim": 64}),
    "gemma2": ("Gemma2", _GEMMA | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    "gemma3": ("Gemma3", _GEMMA | {"num_hidden_layers": 7}),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 5}),
    "granite": (
        "Granite",
        {
            "attention_multiplier": 0.2,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.5,
            "logits_scaling": 2.0,
        },
    ),
    "olmo2": ("Olmo2", {}),
    "stablelm": (
        "StableLm",
        {"use_qkv_bias": True, "rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.25}},
    ),
    "gpt2": ("GPT2", {}),
}


def make(kind: str, folder: Path, **changes: Any) -> Path:
    """Write the model with the tests' real tokenizer beside it; returns `folder`."""
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(1)
    name, options = ARCHITECTURES[kind]
    values = _COMMON | options | changes
    if name == "GPT2":
        values = {"vocab_size": VOCABULARY, "n_embd": 256, "n_layer": 2, "n_head": 8, "n_positions": 512} | changes
    config = getattr(transformers, f"{name}{'Text' if name == 'Gemma3' else ''}Config")(**values)
    class_name = {"GPT2": "GPT2LMHeadModel", "Gemma3": "Gemma3ForCausalLM"}.get(name, f"{name}ForCausalLM")
    model = getattr(transformers, class_name)(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases and norms begin as zeros and ones, which would hide that one of them is left out.
            scale = 0.3 if parameter.ndim == 1 else 0.08
            parameter.add_(torch.randn_like(parameter) * scale)
    model.save_pretrained(folder)
    add_tokenizer(folder)
    return folder


def add_tokenizer(folder: Path) -> None:
    """The tokenizer of the tests' small real model: byte-level BPE, with chat markers."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((STDLIB_3M / name).read_bytes())


def change_config(folder: Path, **changes: Any) -> None:
    """Set keys of config.json; None takes one away."""
    path = folder / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
