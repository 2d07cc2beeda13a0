"""The grid of training is the grid of the file."""

from __future__ import annotations

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from torch import nn

from app.recover.q4_grid import fake_quantize
from app.recover.stored_weights import HeldLinear

Q4_0 = gguf.GGMLQuantizationType.Q4_0


def weights() -> torch.Tensor:
    """With blocks of zeros, of one value, and with the largest magnitude twice, once of each sign."""
    torch.manual_seed(1)
    weight = torch.randn(96, 256) * torch.logspace(-6, 2, 96)[:, None]
    weight[3] = 0
    weight[4] = 0.25
    weight[5, ::32], weight[5, 1::32] = -9.0, 9.0
    weight[6, ::32], weight[6, 1::32] = 9.0, -9.0
    return weight


def test_fake_quantized_is_what_gguf_stores() -> None:
    weight = weights()
    stored = dequantize(quantize(weight.numpy(), Q4_0), Q4_0)
    assert np.array_equal(fake_quantize(weight).numpy(), stored)
    assert not np.array_equal(weight.numpy(), stored)  # control


def test_it_is_rounded_to_the_dtype_of_the_folder_first() -> None:
    weight = weights()
    stored = dequantize(quantize(weight.bfloat16().float().numpy(), Q4_0), Q4_0)
    assert np.array_equal(fake_quantize(weight, torch.bfloat16).numpy(), stored)
    assert not np.array_equal(fake_quantize(weight).numpy(), stored)  # control


def test_the_gradient_passes_straight_through() -> None:
    weight = weights().requires_grad_()
    (fake_quantize(weight) * 3).sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad == 3).all())


def test_held_in_four_bits_it_is_the_same_layer() -> None:
    linear = nn.Linear(256, 96)
    held = HeldLinear(linear, four_bit=True)
    assert torch.equal(held.weight, fake_quantize(linear.weight))
    assert held.get_buffer("held").nbytes + held.get_buffer("scales").nbytes == 256 * 96 * 18 // 32
    x = torch.randn(4, 256, requires_grad=True)
    held(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, fake_quantize(linear.weight.detach()).sum(0).expand(4, -1))


def test_rows_that_are_not_whole_blocks_stay_as_they_are() -> None:
    linear = nn.Linear(40, 8)
    assert torch.equal(HeldLinear(linear, four_bit=True).weight, linear.weight)
