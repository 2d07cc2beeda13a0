"""Pruning runs, small ones: few short windows of text, one thread."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from app.operation import Context, Event
from app.prune.messages import Prune, Pruned, PruneMethod
from app.prune.prune import prune
from tests.real_models import CALIBRATION, STDLIB_3M


def request(output: Path, method: PruneMethod = PruneMethod.WANDA, amount: float = 0.5, **changes: Any) -> Prune:
    """Of the small real model; `changes` are fields of the request."""
    small = Prune(STDLIB_3M, output, method, amount, text=CALIBRATION, context_tokens=64, chunks=4, threads=1)
    return dataclasses.replace(small, **changes)


def run(asked: Prune, events: list[Event] | None = None) -> Pruned:
    """To the end."""
    return prune(asked, Context(report=(lambda _event: None) if events is None else events.append))


def tensors(folder: Path) -> dict[str, Tensor]:
    """Everything in the folder's safetensors."""
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stream:
            found |= {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    return found


def matrices(folder: Path) -> dict[str, Tensor]:
    """Those of the blocks' linear layers."""
    return {name: values for name, values in tensors(folder).items() if ".layers." in name and values.ndim == 2}


def zeros(values: Tensor) -> int:
    """How many there are."""
    return int((values == 0).sum())


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the manifest, which holds the date."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def logits(folder: Path, ids: Tensor) -> Tensor:
    """What transformers makes of the folder, in float32: [windows, tokens, vocabulary]."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, local_files_only=True
    ).eval()
    with torch.no_grad():
        values: Tensor = model(ids).logits
    return values
