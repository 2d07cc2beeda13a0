"""A block of a real model with what flows into its linear layers, and masks written as plainly as the papers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from app.prune.block_model import BlockModel
from app.prune.messages import Prune, PruneMethod
from app.prune.method import Inputs, Statistic
from app.prune.prune import read_windows
from app.prune.statistics import collect
from app.prune.weights import linear_layers
from tests.real_models import CALIBRATION

WINDOWS, TOKENS = 8, 64


@dataclass(frozen=True, slots=True)
class MeasuredBlock:
    """Weights and inputs by the layers' names."""

    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Inputs]


def measured_block(folder: Path, index: int = 1) -> MeasuredBlock:
    """A block of the unpruned model."""
    torch.set_num_threads(1)
    model = BlockModel(folder)
    request = Prune(folder, folder, PruneMethod.WANDA, 0.5, text=CALIBRATION, context_tokens=TOKENS, chunks=WINDOWS)
    hidden = model.embed(read_windows(request, 2048))
    for before in range(index):
        block = model.block(before)
        hidden = torch.stack([model.run(before, block, window) for window in hidden])
    block = model.block(index)
    layers = linear_layers(block)
    needs = dict.fromkeys(layers, Statistic.GRAM)
    inputs = collect(index, block, needs, lambda: [model.run(index, block, window) for window in hidden])
    return MeasuredBlock({name: layer.weight.data for name, layer in layers.items()}, inputs)


def reconstruction_error(before: Tensor, after: Tensor, gram: Tensor, scale: Tensor | None = None) -> float:
    """Sum over the tokens of the squared error of the layer's outputs, each times its `scale`."""
    error = (before - after).double() * (1.0 if scale is None else scale.double()[:, None])
    return float(((error @ gram.double()) * error).sum())


def magnitude_mask(weights: Tensor, amount: float) -> Tensor:
    """The smallest of the matrix; True is taken away."""
    order = sorted(range(weights.numel()), key=weights.abs().flatten().tolist().__getitem__)
    mask = torch.zeros(weights.numel(), dtype=torch.bool)
    mask[order[: int(len(order) * amount)]] = True
    return mask.view_as(weights)


def wanda_mask(weights: Tensor, gram: Tensor, amount: float, *, activations: bool = True) -> Tensor:
    """Wanda, row by row."""
    norm = gram.diagonal().sqrt() if activations else torch.ones(weights.shape[1])
    mask = torch.zeros_like(weights, dtype=torch.bool)
    for row, weight in enumerate(weights):
        score = (weight.abs() * norm).tolist()
        for column in sorted(range(len(score)), key=score.__getitem__)[: int(len(score) * amount)]:
            mask[row, column] = True
    return mask


def sparsegpt_weights(
    weights: Tensor, gram: Tensor, amount: float, pattern: tuple[int, int] | None = None, *, update: bool = True
) -> Tensor:
    """Algorithm 1 of the paper with the inverse and its Cholesky factor, in float64, one column at a time."""
    gram = gram.double().clone()
    gram += 0.01 * gram.diagonal().mean() * torch.eye(len(gram))
    factor = torch.linalg.cholesky(torch.linalg.inv(gram), upper=True)
    result = weights.double().clone()
    mask = torch.zeros_like(result, dtype=torch.bool)
    for column in range(weights.shape[1]):
        for width, count in ((128, None),) if pattern is None else ((pattern[1], pattern[0]),):
            if column % width == 0:
                part = slice(column, column + width)
                score = result[:, part] ** 2 / factor.diagonal()[part] ** 2
                if count is None:
                    lowest = score.flatten().argsort(stable=True)[: int(score.numel() * amount)]
                    chosen = torch.zeros(score.numel(), dtype=torch.bool)
                    chosen[lowest] = True
                    mask[:, part] = chosen.view_as(score)
                else:
                    mask[:, part] = score.argsort(dim=1, stable=True).argsort(dim=1) < count
        error = torch.where(mask[:, column], result[:, column], 0.0) / factor[column, column]
        if update:
            result[:, column:] -= error[:, None] * factor[column, column:]
        result[mask[:, column], column] = 0.0
    return result
