"""What is trained: low-rank adapters (LoRA, through peft) on the matrices of the blocks, or every weight.

LoRA: Hu et al. 2021, arXiv 2106.09685. QLoRA (Dettmers et al. 2023, arXiv 2305.14314) holds the frozen weights in
4 bits, here on the Q4_0 grid and in torch alone (`held.py`), so that it runs on any processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.recover import q4_grid
from app.recover.language_model import LanguageModel
from app.recover.messages import Recover, RecoverMethod
from app.recover.stored_weights import HeldLinear, set_module

SPARSE_FROM = 0.05
"""A matrix with a larger share of zeros was pruned, and keeps them. Trained weights have hardly any."""
_NAME = "recover"


@dataclass(frozen=True, slots=True)
class Training:
    """`parameters` are what the optimizer moves; `weights` give what the files will hold, by the tensors' names there,
    from the tensor that the file holds now.
    """

    parameters: list[nn.Parameter]
    weights: dict[str, Callable[[Tensor], Tensor]]


class EffectiveLinear(nn.Module):
    """A linear layer whose weight is computed from what is trained: with its zeros kept, and on the grid if asked for.

    `layer` is an `nn.Linear` that is trained itself, or one of peft's with an adapter.
    """

    def __init__(self, layer: Any, mask: Tensor | None, grid_of: torch.dtype | None) -> None:
        super().__init__()
        self.layer = layer
        self.mask = mask
        self.grid_of = grid_of if grid_of is not None and q4_grid.fits(layer.weight) else None

    def forward(self, input: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., out_features]`."""
        return functional.linear(input, self.weight(), self.layer.bias)

    def weight(self) -> Tensor:
        """What the layer multiplies with."""
        weight: Tensor = self.layer.weight
        if hasattr(self.layer, "get_delta_weight"):
            weight = weight + self.layer.get_delta_weight(_NAME)
        if self.mask is not None:
            weight = weight * self.mask
        return weight if self.grid_of is None else q4_grid.fake_quantize(weight, self.grid_of)


def prepare(student: LanguageModel, request: Recover, stored: torch.dtype) -> Training:
    """Make the student trainable in place. The same seed gives the same start. `stored` is the dtype of its files."""
    masks = _masks(student)
    if request.method is RecoverMethod.FULL:
        training = _all_weights(student, masks)
    else:
        if request.method is RecoverMethod.QLORA:
            _hold_in_four_bits(student)
        training = _adapters(student, request, masks)
    grid = stored if request.quantization_aware else None
    for name in student.linears if grid is not None else masks:
        layer = student.model.get_submodule(name)
        set_module(student.model, name, EffectiveLinear(layer, masks.get(name), grid))
    return training


def _masks(student: LanguageModel) -> dict[str, Tensor]:
    """1 where a weight may be trained, for the matrices that were made sparse."""
    masks = {}
    for name in student.linears:
        weight = student.model.get_submodule(name).weight
        if (weight == 0).float().mean() > SPARSE_FROM:
            masks[name] = weight != 0
    return masks


def _all_weights(student: LanguageModel, masks: dict[str, Tensor]) -> Training:
    for name in student.linears:
        held = student.model.get_submodule(name)
        if isinstance(held, HeldLinear):
            set_module(student.model, name, _linear(held))
    student.model.requires_grad_(True)
    weights: dict[str, Callable[[Tensor], Tensor]] = {}
    # With its second name, a tied output matrix is found in the files that store it twice.
    for name, parameter in student.model.named_parameters(remove_duplicate=False):
        weights[name] = partial(_trained, parameter, masks.get(name.removesuffix(".weight")))
    return Training(list(student.model.parameters()), weights)


def _trained(parameter: Tensor, mask: Tensor | None, _stored: Tensor) -> Tensor:
    return parameter.detach() if mask is None else parameter.detach() * mask


def _linear(held: HeldLinear) -> nn.Linear:
    """A layer of its own weights, to be trained."""
    bias = held.bias is not None
    linear = nn.Linear(held.in_features, held.out_features, bias, device="meta")
    linear.weight = nn.Parameter(held.weight.clone())
    if bias:
        linear.bias = nn.Parameter(held.bias.clone())
    return linear


def _hold_in_four_bits(student: LanguageModel) -> None:
    for name in student.linears:
        set_module(student.model, name, HeldLinear(student.model.get_submodule(name), four_bit=True))


def _adapters(student: LanguageModel, request: Recover, masks: dict[str, Tensor]) -> Training:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=request.rank, lora_alpha=2 * request.rank, lora_dropout=0.0, target_modules=list(student.linears)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        inject_adapter_in_model(config, student.model, adapter_name=_NAME)
    weights: dict[str, Callable[[Tensor], Tensor]] = {}
    for name in student.linears:
        weights[f"{name}.weight"] = partial(_merged, student.model.get_submodule(name), masks.get(name))
    return Training([p for p in student.model.parameters() if p.requires_grad], weights)


@torch.no_grad()
def _merged(layer: Any, mask: Tensor | None, stored: Tensor) -> Tensor:
    """The sum of adapter and weight, with the weight of the file and not with the one that is held: that may be in 4
    bits.
    """
    merged: Tensor = stored.float() + layer.get_delta_weight(_NAME)
    return merged if mask is None else merged * mask
