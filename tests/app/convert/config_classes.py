"""The fields of transformers' configuration classes, as resources/convert/config_classes.json keeps them.

`python -m tests.app.convert.config_classes` writes that file again, after transformers was moved to a newer version.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

CLASSES = {
    "LlamaForCausalLM": "LlamaConfig",
    "MistralForCausalLM": "MistralConfig",
    "SmolLM3ForCausalLM": "SmolLM3Config",
    "GraniteForCausalLM": "GraniteConfig",
    "Qwen2ForCausalLM": "Qwen2Config",
    "Qwen3ForCausalLM": "Qwen3Config",
    "Phi3ForCausalLM": "Phi3Config",
    "GemmaForCausalLM": "GemmaConfig",
    "Gemma2ForCausalLM": "Gemma2Config",
    "Gemma3ForCausalLM": "Gemma3TextConfig",
    "Olmo2ForCausalLM": "Olmo2Config",
    "StableLmForCausalLM": "StableLmConfig",
    "GPT2LMHeadModel": "GPT2Config",
}
FILE = Path(__file__).parents[3] / "resources" / "convert" / "config_classes.json"


def of_transformers() -> dict[str, Any]:
    """Version, and for each architecture what a field is where config.json leaves it out."""
    import transformers

    return {"transformers": transformers.__version__, "classes": {name: _fields(cls) for name, cls in CLASSES.items()}}


def _fields(name: str) -> dict[str, Any]:
    import transformers

    common = {field.name for field in dataclasses.fields(transformers.PretrainedConfig)}
    cls = getattr(transformers, name)
    fields = {field.name: field.default for field in dataclasses.fields(cls) if field.name not in common}
    rope = {}
    if name != "GPT2Config":
        # What the class makes of nothing: its base frequency, and how much of a head is turned.
        given = cls().rope_parameters
        rope = {key: value for key, value in given.items() if key != "rope_type"}
    return {**fields, "rope_parameters": rope or None}


if __name__ == "__main__":
    FILE.write_text(json.dumps(of_transformers(), indent=1) + "\n")
