"""Which weights become zero, beside plain references, and what it costs on a model with outliers in its inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from app.prune.magnitude import Pattern, smallest, wanda, zero
from app.prune.sparsegpt import factor, sparsegpt
from tests.app.prune import measured
from tests.app.prune.measured import MeasuredBlock, measured_block, reconstruction_error
from tests.app.quantize.best.planted import with_outliers
from tests.real_models import STDLIB_3M

LAYERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


@pytest.fixture(scope="module")
def block() -> MeasuredBlock:
    return measured_block(STDLIB_3M)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> MeasuredBlock:
    return measured_block(with_outliers(tmp_path_factory.mktemp("planted") / "model"))


def by_magnitude(weights: Tensor, amount: float = 0.5) -> Tensor:
    pruned = weights.clone()
    zero(pruned, smallest(lambda: [weights], int(weights.numel() * amount)))
    return pruned


def by_wanda(block: MeasuredBlock, name: str, pattern: Pattern | None = None) -> Tensor:
    pruned = block.weights[name].clone()
    wanda(pruned, block.inputs[name].sum_squares, 0.5, pattern)
    return pruned


def by_sparsegpt(block: MeasuredBlock, name: str, pattern: Pattern | None = None, amount: float = 0.5) -> Tensor:
    pruned, root = block.weights[name].clone(), gram_of(block, name).clone()
    assert factor(root)
    sparsegpt(pruned, root, amount, pattern)
    return pruned


def gram_of(block: MeasuredBlock, name: str) -> Tensor:
    gram = block.inputs[name].gram
    assert gram is not None
    return gram


@pytest.mark.parametrize("amount", [0.1, 0.5, 0.77])
def test_magnitude_is_its_definition(block: MeasuredBlock, amount: float) -> None:
    weights = block.weights["self_attn.k_proj"]
    assert torch.equal(by_magnitude(weights, amount) == 0, measured.magnitude_mask(weights, amount))


def test_magnitude_counts_exactly_where_weights_are_equal() -> None:
    weights = torch.tensor([[0.5, -0.25, 0.25, 0.25], [0.25, -0.5, 0.125, -0.0]])
    assert torch.equal(by_magnitude(weights), torch.tensor([[0.5, 0.0, 0.0, 0.25], [0.25, -0.5, 0.0, 0.0]]))


def test_magnitude_tells_values_apart_that_differ_in_the_last_bit() -> None:
    one = torch.tensor(1.0)
    above = torch.nextafter(one, torch.tensor(2.0))
    weights = torch.stack([above, one, above, one])
    assert torch.equal(by_magnitude(weights), torch.stack([above, one * 0, above, one * 0]))


def test_wanda_is_its_definition_and_looks_at_activations(block: MeasuredBlock) -> None:
    for name in LAYERS:
        mask, gram, weights = by_wanda(block, name)[:16] == 0, gram_of(block, name), block.weights[name][:16]
        assert torch.equal(mask, measured.wanda_mask(weights, gram, 0.5))
        assert not torch.equal(mask, measured.wanda_mask(weights, gram, 0.5, activations=False)), "the control"


def test_wanda_takes_so_many_of_each_group(block: MeasuredBlock) -> None:
    zeros = by_wanda(block, "mlp.down_proj", Pattern(2, 4)) == 0
    assert (zeros.view(-1, 4).sum(1) == 2).all()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("pattern", [None, (2, 4), (4, 8)])
def test_sparsegpt_is_the_papers(block: MeasuredBlock, name: str, pattern: tuple[int, int] | None) -> None:
    weights, gram = block.weights[name][:32], gram_of(block, name)
    part = MeasuredBlock({name: weights}, block.inputs)
    ours = by_sparsegpt(part, name, Pattern(*pattern) if pattern else None)
    theirs = measured.sparsegpt_weights(weights, gram, 0.5, pattern)
    without = measured.sparsegpt_weights(weights, gram, 0.5, pattern, update=False)
    assert ((ours == 0) == (theirs == 0)).float().mean() > 0.9995
    assert ((ours == 0) == (without == 0)).float().mean() < 0.99, "the control: the error update decides"
    torch.testing.assert_close(ours[(ours == 0) == (theirs == 0)].double().norm(), theirs.norm(), rtol=1e-3, atol=0)


def test_sparsegpt_factors_in_place_whatever_the_size() -> None:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(900, 700, generator=random)
    gram = inputs.T @ inputs
    root = gram.clone()
    assert factor(root)
    root = root.triu().double()
    damped = gram.double() + 0.01 * gram.diagonal().mean() * torch.eye(700)
    torch.testing.assert_close(root @ root.T, damped, rtol=1e-4, atol=1e-2)


def test_with_outliers_sparsegpt_loses_least_and_magnitude_most(planted: MeasuredBlock) -> None:
    for name, weights in planted.weights.items():
        gram = gram_of(planted, name)
        best, middle, worst = (
            reconstruction_error(weights, pruned, gram, read_by(planted, name))
            for pruned in (by_sparsegpt(planted, name), by_wanda(planted, name), by_magnitude(weights))
        )
        assert best < middle < worst, name


def read_by(block: MeasuredBlock, name: str) -> Tensor | None:
    """How much down_proj takes of each output of up_proj: outliers are planted there too, and divided out again."""
    return block.weights["mlp.down_proj"].norm(dim=0) if name == "mlp.up_proj" else None


@pytest.mark.parametrize("name", ["self_attn.q_proj", "mlp.gate_proj", "mlp.down_proj"])
def test_outliers_do_not_change_wandas_choice(block: MeasuredBlock, planted: MeasuredBlock, name: str) -> None:
    assert torch.equal(by_wanda(block, name) == 0, by_wanda(planted, name) == 0)
    before, after = by_magnitude(block.weights[name]) == 0, by_magnitude(planted.weights[name]) == 0
    assert (before != after).float().mean() > 0.005, "the control: magnitude's changes"
