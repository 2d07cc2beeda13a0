"""Frozen linear layers whose weights are held in fewer bits than are computed with: 16, or 4 on the Q4_0 grid.

Processors without bf16 units multiply bf16 matrices slower than float32 ones. So a weight stays as its file has it and
becomes float32 for the one multiplication; it is not kept for the backward pass either, but made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.recover import q4_grid


class HeldLinear(nn.Linear):
    """A frozen `nn.Linear` that computes in float32. `weight` is made anew each time it is asked for."""

    def __init__(self, source: nn.Linear, *, four_bit: bool = False) -> None:
        """Takes over the weight of `source`, or rounds it to Q4_0 where `four_bit` is set and its rows allow it."""
        nn.Module.__init__(self)
        self.in_features, self.out_features = source.in_features, source.out_features
        bias = None if source.bias is None else source.bias.detach().float()
        self.register_buffer("bias", bias, persistent=False)
        weight = source.weight.detach()
        self.four_bit = four_bit and q4_grid.fits(weight)
        if self.four_bit:
            codes, scales = q4_grid.quantize(weight)
            self.register_buffer("held", codes[:, :16] | (codes[:, 16:] << 4), persistent=False)
            self.register_buffer("scales", scales, persistent=False)
        else:
            self.register_buffer("held", weight, persistent=False)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """`[out_features, in_features]` in float32."""
        held: Tensor = self.held  # type: ignore[assignment]
        if not self.four_bit:
            return held.float()
        codes = torch.cat([held & 15, held >> 4], dim=1)
        scales: Tensor = self.scales  # type: ignore[assignment]
        return q4_grid.dequantize(codes, scales).reshape(self.out_features, self.in_features)

    def forward(self, input: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., out_features]`."""
        result: Tensor = _HeldProduct.apply(input, self)  # type: ignore[no-untyped-call]
        return result

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HeldLinear:
        """`model.float()` must not make it large again."""
        return self


class _HeldProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, layer: HeldLinear) -> Tensor:
        ctx.layer = layer
        return functional.linear(input, layer.weight, layer.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] @ ctx.layer.weight, None


def set_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place that `name` ("layers.0.mlp.up_proj") says."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)


def share_equal(model: nn.Module, other: nn.Module) -> int:
    """Let `model` use the memory of `other` for every frozen tensor that both have; returns the bytes saved.

    A pruned model keeps most of its original's tensors as they were: what is not trained need not be there twice.
    """
    known: dict[tuple[object, ...], Tensor] = {}
    for tensor in _frozen(other):
        known.setdefault(_key(tensor), tensor)
    saved = 0
    for tensor in _frozen(model):
        twin = known.get(_key(tensor))
        if twin is not None and twin.data_ptr() != tensor.data_ptr() and torch.equal(twin, tensor):
            tensor.data = twin.data
            saved += tensor.nbytes
    return saved


def _frozen(model: nn.Module) -> list[Tensor]:
    trained = {p.data_ptr() for p in model.parameters() if p.requires_grad}
    return [t for t in (*model.parameters(), *model.buffers()) if t.numel() > 1024 and t.data_ptr() not in trained]


def _key(tensor: Tensor) -> tuple[object, ...]:
    """Cheap and nearly unique; equality is checked after."""
    flat = tensor.reshape(-1)
    return (tensor.dtype, tensor.shape, *flat[:: max(1, flat.numel() // 16)][:16].tolist())
