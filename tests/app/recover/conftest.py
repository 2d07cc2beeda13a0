"""A small trained model, and the same with a part of its FFN cut out and nothing fitted to that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.real_models import STDLIB_3M


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FFN 768 to 512, the neurons with the smallest weights left out."""
    return cut_ffn(STDLIB_3M, tmp_path_factory.mktemp("cut") / "cut", 512)


def cut_ffn(source: Path, target: Path, width: int) -> Path:
    shutil.copytree(source, target)
    tensors, config = load_file(target / "model.safetensors"), json.loads((target / "config.json").read_text())
    for i in range(config["num_hidden_layers"]):
        names = [f"model.layers.{i}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        gate, up, down = (tensors[name].float() for name in names)
        score = (gate**2).sum(1) * (up**2).sum(1) * (down**2).sum(0)
        kept = score.topk(width).indices.sort().values
        for name in names:
            tensors[name] = (tensors[name][:, kept] if "down" in name else tensors[name][kept]).contiguous()
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    (target / "config.json").write_text(json.dumps(config | {"intermediate_size": width}))
    return target


@pytest.fixture(scope="session")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of each matrix of the blocks set to zero, by magnitude."""
    target = Path(shutil.copytree(STDLIB_3M, tmp_path_factory.mktemp("sparse") / "sparse"))
    tensors = load_file(target / "model.safetensors")
    for name, weight in tensors.items():
        if "_proj" in name:
            tensors[name] = weight * (weight.abs() > weight.abs().float().median())
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    return target
