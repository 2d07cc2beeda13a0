"""config.json of a Hugging Face folder: the model's dimensions, whichever of their usual names the file uses."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from app.errors import ConversionError
from app.library.gguf_reader import printable
from app.system.files import read_json, read_object
from app.system.paths import RESOURCES

_LARGEST = 1 << 31


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST


class Config:
    """The values of config.json, and where it leaves one out what transformers' class for the architecture has.

    A model of several parts keeps those of its language model in `text_config`; the others mean nothing for it.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        names = values.get("architectures")
        self.architecture = str(names[0]) if isinstance(names, list) and names else ""
        inner = values.get("text_config")
        self.given = {**_shared(values), **inner} if isinstance(inner, dict) else values
        self.fields = fields_of(self.architecture)
        self.values = {**self.fields, "rope_parameters": None, **self.given}

    def get(self, *names: str, default: Any = None) -> Any:
        """The first of these values that is present and not null."""
        return next((self.values[name] for name in names if self.values.get(name) is not None), default)

    def count(self, *names: str, default: int | None = None) -> int:
        """A positive whole number. Raises ConversionError where the file has something else."""
        value = self.get(*names, default=default)
        if not _is_count(value):
            raise ConversionError(f"config.json does not say the model's “{names[0]}”.", "Download it again.")
        return int(value)

    def number(self, name: str) -> float:
        """A number. Raises ConversionError where the file has something else."""
        value = self.get(name)
        if not isinstance(value, int | float):
            raise ConversionError(f"config.json does not say the model's “{name}”.", "Download it again.")
        return float(value)

    def each(self, *names: str, default: int | None = None) -> tuple[int, ...]:
        """A positive number for each layer, from a list or one value that holds for all. Raises ConversionError."""
        value = self.get(*names)
        if not isinstance(value, list):
            return (self.count(*names, default=default),) * self.layers
        if len(value) != self.layers or not all(map(_is_count, value)):
            raise ConversionError(
                f"config.json does not say one “{names[0]}” for each of the model's {self.layers} layers.",
                "A layer without attention or without FFN cannot be converted. Make the folder again.",
            )
        return tuple(value)

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        return self.count("num_hidden_layers", "n_layer")

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.count("hidden_size", "n_embd")

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return self.count("num_attention_heads", "n_head")

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        return self.count("num_key_value_heads", default=self.heads)

    @property
    def head(self) -> int:
        """Width of one head."""
        follows = self.get("head_dim") is None and not isinstance(self.get("num_attention_heads"), list)
        return self.width // self.heads if follows else self.count("head_dim")

    @property
    def heads_of(self) -> tuple[int, ...]:
        """Number of query heads of each layer."""
        return self.each("num_attention_heads", "n_head")

    @property
    def kv_heads_of(self) -> tuple[int, ...]:
        """Number of key and value heads of each layer."""
        given = self.get("num_key_value_heads") is not None
        return self.each("num_key_value_heads") if given else self.heads_of

    @property
    def ffn_of(self) -> tuple[int, ...]:
        """Width of the FFN of each layer."""
        return self.each("intermediate_size", "n_inner", default=4 * self.width)

    @property
    def context(self) -> int:
        """Longest context, in tokens."""
        return self.count("max_position_embeddings", "n_positions", "n_ctx")

    @property
    def vocabulary(self) -> int:
        """Number of rows of the token embedding."""
        return self.count("vocab_size")

    @property
    def tied(self) -> bool:
        """Whether the token embedding is the output matrix too. transformers assumes that it is, where nothing says."""
        return bool(self.get("tie_word_embeddings", default=True))

    @property
    def default_rope(self) -> dict[str, Any]:
        """The rotary parameters of transformers' class, where config.json has none."""
        return dict(self.fields.get("rope_parameters") or {})


def _shared(values: dict[str, Any]) -> dict[str, Any]:
    """What a model of several parts says for all of them."""
    names = ("tie_word_embeddings", "transformers_version", "quantization_config", "compression_config")
    return {name: values[name] for name in names if name in values}


def fields_of(architecture: str) -> dict[str, Any]:
    """The fields of transformers' configuration class with their defaults; empty for an architecture without one."""
    classes: dict[str, dict[str, Any]] = _classes()["classes"]
    return classes.get(_SAME_CLASS.get(architecture, architecture), {})


def is_newer_transformers(version: object) -> bool:
    """Whether a model was written by a newer transformers than the one whose classes are known here."""
    return isinstance(version, str) and _numbers(version) > _numbers(_classes()["transformers"])


_SAME_CLASS = {"Gemma3ForConditionalGeneration": "Gemma3ForCausalLM", "DeciLMForCausalLM": "LlamaForCausalLM"}
"""Architectures whose language model is configured by another's class."""


@functools.cache
def _classes() -> dict[str, Any]:
    classes: dict[str, Any] = json.loads((RESOURCES / "convert" / "config_classes.json").read_bytes())
    return classes


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _base_model(folder: Path) -> str:
    name = read_object(folder / "adapter_config.json").get("base_model_name_or_path")
    return printable(name) if isinstance(name, str) and name else "another model"


def read_config(folder: Path) -> Config:
    """Read config.json in `folder`. Raises ConversionError."""
    try:
        values = read_json(folder / "config.json")
    except FileNotFoundError as error:
        if (folder / "adapter_config.json").is_file():
            raise ConversionError(
                f"{folder.name} is an adapter (LoRA) for {_base_model(folder)}, not a model.",
                "Merge it into that model first, or look for the merged one.",
            ) from error
        raise ConversionError(
            f"There is no config.json in {folder.name}.", "Choose the folder of the model."
        ) from error
    except (OSError, ValueError) as error:
        raise ConversionError("config.json cannot be read.", "Download it again.") from error
    if not isinstance(values, dict):
        raise ConversionError("config.json is not an object.", "Download it again.")
    config = Config(values)
    quantized = config.get("quantization_config", "compression_config")
    if quantized:
        method = quantized.get("quant_method", "") if isinstance(quantized, dict) else ""
        raise ConversionError(
            f"The model is quantized already ({printable(str(method)) or 'in a way it does not name'}).",
            "Take the original model, in 16 bits, or its GGUF files.",
        )
    return config
