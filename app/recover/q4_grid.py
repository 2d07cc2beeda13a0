"""llama.cpp's Q4_0 grid in torch: blocks of 32 weights, a 4-bit code each, one float16 scale for all.

The largest weight of a block by magnitude, with its sign, becomes code 0 (-8 steps): `quantize_row_q4_0_ref` of
ggml/src/ggml-quants.c, in the arithmetic of gguf's own quantizer, so that both round alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 32


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes, 0 to 15, `[n, 32]` in uint8, and scales `[n, 1]` in float16, of a weight whose rows are whole blocks."""
    blocks = weight.detach().float().reshape(-1, BLOCK)
    step = _largest(blocks) / -8
    inverse = torch.where(step == 0, torch.zeros_like(step), 1 / step)
    codes = (blocks * inverse + 8.5).trunc().clamp(0, 15).to(torch.uint8)
    return codes, step.half()


def _largest(blocks: Tensor) -> Tensor:
    """For each block the weight with the largest magnitude, the first of several: `argmax` promises no order."""
    magnitudes = blocks.abs()
    numbers = torch.arange(BLOCK, device=blocks.device).expand_as(blocks)
    first = numbers.where(magnitudes == magnitudes.amax(1, keepdim=True), BLOCK).amin(1, keepdim=True)
    return blocks.gather(1, first.clamp(max=BLOCK - 1))


def dequantize(codes: Tensor, scales: Tensor) -> Tensor:
    """The values `[n, 32]` in float32 that `quantize` chose."""
    return (codes.to(torch.float32) - 8) * scales.float()


def fits(weight: Tensor) -> bool:
    """Whether llama.cpp stores this weight in Q4_0: a row must be whole blocks."""
    return weight.shape[-1] % BLOCK == 0


def fake_quantize(weight: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weight as the Q4_0 file will hold it, after it was stored as `dtype`; its gradient passes unchanged.

    Straight-through estimator: Bengio et al. 2013, arXiv 1308.3432.
    """
    result: Tensor = _StraightThrough.apply(weight, dtype)  # type: ignore[no-untyped-call]
    return result


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, dtype: torch.dtype) -> Tensor:
        return dequantize(*quantize(weight.to(dtype))).reshape(weight.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None
