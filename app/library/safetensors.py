"""Hugging Face folders on this machine: recognised by their files' names, described by config.json and the headers.

Format of the headers: 8 bytes of length, little-endian, then JSON; github.com/huggingface/safetensors, README.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.library.gguf_reader import printable

MAX_HEADER_BYTES = 100_000_000
MAX_CONFIG_BYTES = 10_000_000
MAX_COUNT = 1 << 62
MAX_CACHED = 1000


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder says of its model; "" and 0 where it does not say. `type` is what most weights are stored as."""

    architecture: str = ""
    parameters: int = 0
    type: str = ""
    context_tokens: int = 0
    layers: int = 0
    vocabulary: int = 0
    prequantized: str = ""
    """The method of a checkpoint that is quantized already: "gptq"."""
    ffn_width: int = 0
    """Neurons of a feed-forward layer; 0 where the layers differ, as after pruning each by itself."""
    kv_heads: int = 0
    """Groups of attention heads that share keys and values."""


def is_model(config: Path) -> bool:
    """Whether this config.json is that of a folder with safetensors."""
    return config.name == "config.json" and bool(weight_files(config.parent))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Its safetensors, the parts in order."""
    try:
        return tuple(sorted(path for path in folder.glob("*.safetensors") if path.is_file()))
    except OSError:
        return ()


_facts: dict[tuple[tuple[str, int, int], ...], FolderFacts] = {}


def facts_of(folder: Path) -> FolderFacts:
    """What is known of the folder, read again only when a file of it changed. Never raises: unreadable is not known."""
    files = (folder / "config.json", *weight_files(folder))
    try:
        key = tuple((str(file), status.st_size, status.st_mtime_ns) for file in files for status in (file.stat(),))
    except OSError:
        return FolderFacts()
    if key not in _facts:
        if len(_facts) >= MAX_CACHED:
            _facts.clear()
        _facts[key] = _read(files[0], files[1:])
    return _facts[key]


def _read(config_file: Path, weights: tuple[Path, ...]) -> FolderFacts:
    config = _config(config_file)
    elements: Counter[str] = Counter()
    try:
        for file in weights:
            elements.update(_elements(file))
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        elements.clear()  # a part of the sum would be a wrong number
    text = config.get("text_config")
    inner = config | text if isinstance(text, dict) else config
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method", "unknown") if isinstance(quantization, dict) else ""
    return FolderFacts(
        architecture=printable(str(inner.get("model_type") or "")),
        parameters=sum(elements.values()),
        type=printable(elements.most_common(1)[0][0]) if elements else "",
        context_tokens=_number(inner, "max_position_embeddings", "n_positions"),
        layers=_number(inner, "num_hidden_layers", "n_layer"),
        vocabulary=_number(inner, "vocab_size"),
        prequantized=printable(str(method)),
        ffn_width=_number(inner, "intermediate_size", "n_inner"),
        kv_heads=_number(inner, "num_key_value_heads", "num_attention_heads", "n_head"),
    )


def _config(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            return {}
        config = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _elements(file: Path) -> Counter[str]:
    """How many elements of each type a file holds. Raises OSError, and ValueError and its like for another format."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= MAX_HEADER_BYTES:
            raise ValueError("no header of safetensors")
        header = json.loads(stream.read(length))
    found: Counter[str] = Counter()
    for name, tensor in header.items():
        if name != "__metadata__":
            count = math.prod(int(side) for side in tensor["shape"])
            if not 0 <= count <= MAX_COUNT:
                raise ValueError("an absurd shape")
            found[str(tensor["dtype"])] += count
    return found


def _number(config: dict[str, Any], *names: str) -> int:
    values = (config.get(name) for name in names)
    return next((value for value in values if type(value) is int and 0 < value <= MAX_COUNT), 0)
