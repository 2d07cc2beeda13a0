"""Loads any folder written here as a transformers model, also one whose layers differ in width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from app.convert.checkpoint import SourceTensor, as_float32, open_checkpoint
from app.convert.configuration import Config, read_config
from app.errors import ModelFileError
from app.prune.other_architecture import PER_LAYER

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model in evaluation mode. Its `state_dict` has the names and shapes of the folder's safetensors, so that it
    can be written back under the folder's config.json and loaded again.

    Raises ConversionError for a folder that cannot be read, ModelFileError where transformers rejects it.
    """
    config = read_config(folder)
    if config.architecture == PER_LAYER:
        return _evaluating(_load_per_layer(folder, config, dtype))
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    # Bantam reports the progress itself.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"transformers cannot load {folder.name}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        ) from error
    return _evaluating(model)


def _evaluating(model: Any) -> PreTrainedModel:
    """The model in evaluation mode, which turns dropout off."""
    model.eval()
    evaluating: PreTrainedModel = model
    return evaluating


def _load_per_layer(folder: Path, config: Config, dtype: torch.dtype) -> PreTrainedModel:
    """Build a Llama on the meta device and put the folder's matrices in, whatever their shapes are."""
    from transformers import LlamaForCausalLM

    checkpoint = open_checkpoint(folder)
    with torch.device("meta"):
        model = LlamaForCausalLM(_one_width(config))
    for layer, heads, kv_heads in zip(model.model.layers, config.heads_of, config.kv_heads_of, strict=True):
        layer.self_attn.num_key_value_groups = heads // kv_heads
    _shape_linears(model, checkpoint)
    weights = {name: _tensor(source, dtype) for name, source in checkpoint.items()}
    if config.tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ModelFileError(f"The tensors of {folder.name} are not those of its config.json.") from error
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model


def _one_width(config: Config) -> Any:
    """A configuration of Llama, which has one width for all layers: the first layer's, with a number of heads that it
    accepts.
    """
    from transformers import LlamaConfig

    values = dict(config.values) | {
        "intermediate_size": config.ffn_of[0],
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": config.head,
    }
    for name in ("architectures", "model_type", "attention_bias", "mlp_bias"):
        values.pop(name, None)
    return LlamaConfig(**values)


def _shape_linears(model: torch.nn.Module, checkpoint: dict[str, SourceTensor]) -> None:
    """Give each linear layer the shape that the checkpoint has, with or without a bias."""
    for name in [name for name, _module in model.named_modules()]:
        parent, _, own = name.rpartition(".")
        if own not in _LINEARS or f"{name}.weight" not in checkpoint:
            continue
        rows, columns = checkpoint[f"{name}.weight"].shape
        linear = torch.nn.Linear(columns, rows, bias=f"{name}.bias" in checkpoint, device="meta")
        setattr(model.get_submodule(parent), own, linear)


def _tensor(source: SourceTensor, dtype: torch.dtype) -> torch.Tensor:
    values = as_float32(source.rows(0, source.shape[0]), source.dtype)
    return torch.from_numpy(values.astype("float32", copy=False)).to(dtype)
