"""What an interrupted training goes on from: weights, optimizer and position, in one file, replaced as a whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from app.errors import StorageError

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Position:
    """How far training is. Data and learning rate follow from the step; nothing is drawn on the way."""

    step: int = 0
    rate_factor: float = 1.0
    """A factor, below 1 after the loss was not a number once."""
    seconds: float = 0.0
    """Spent on training, over all runs."""


def save(path: Path, position: Position, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint. Raises StorageError; then the old one is still there."""
    tensors = {f"parameter.{i}": p.detach() for i, p in enumerate(parameters)}
    for i, parameter in enumerate(parameters):
        state = optimizer.state.get(parameter, {})
        tensors |= {f"{name}.{i}": state[name] for name in _MOMENTS if name in state}
    part = path.with_name(path.name + ".part")
    try:
        save_file(
            {name: t.contiguous() for name, t in tensors.items()}, part, {"position": json.dumps(asdict(position))}
        )
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"The state of the training could not be saved: {error}.", "See that there is room on the disk."
        ) from error


def load(path: Path, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> Position:
    """Put everything back in place. Raises StorageError for a file that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            names = set(file.keys())
            for i, parameter in enumerate(parameters):
                parameter.data.copy_(file.get_tensor(f"parameter.{i}"))
                moments = {name: file.get_tensor(f"{name}.{i}") for name in _MOMENTS if f"{name}.{i}" in names}
                _set_moments(optimizer, parameter, moments, position.step)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StorageError(
            f"The state of an earlier training cannot be read: {error}.", f"Delete {path.parent} to begin again."
        ) from error
    return position


def _set_moments(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, moments: dict[str, Tensor], step: int
) -> None:
    optimizer.state.pop(parameter, None)
    if moments:
        optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
