"""Block by block it is the same model: the logits are transformers' own, for each family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.errors import PruneError
from app.prune.block_model import BlockModel
from tests.app.convert import small_models
from tests.app.convert.small_models import change_config, make
from tests.app.prune.runs import logits, tensors

IDS = torch.arange(7, 7 + 3 * 90).view(3, 90) * 13 % 4096
KINDS = ("llama3", "llama-biased", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3")


@pytest.fixture(autouse=True)
def _gemma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(small_models.ARCHITECTURES, "gemma", ("Gemma", {"head_dim": 64}))


def block_by_block(model: BlockModel, arguments_of: int | None = None) -> Tensor:
    """The logits; `arguments_of` runs every block as that one."""
    hidden = model.embed(IDS)
    for index in range(model.layers):
        block = model.block(index)
        for number, window in enumerate(hidden):
            hidden[number] = model.run(index if arguments_of is None else arguments_of, block, window)
    return torch.stack([model.logits(window) for window in hidden])


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_the_same(kind: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / "model")
    torch.testing.assert_close(block_by_block(BlockModel(folder)), logits(folder, IDS), rtol=1e-5, atol=1e-5)


def test_the_blocks_arguments_matter(tmp_path: Path) -> None:
    """The control: Gemma 3's blocks of whole attention want another mask and other angles than the sliding ones."""
    folder = make("gemma3", tmp_path / "model")
    assert (block_by_block(BlockModel(folder), arguments_of=0) - logits(folder, IDS)).abs().max() > 0.01


def test_an_unknown_family_is_named(tmp_path: Path) -> None:
    folder = make("gpt2", tmp_path / "model")
    with pytest.raises(PruneError, match="GPT2LMHeadModel"):
        BlockModel(folder)


def test_a_configuration_that_is_not_the_weights(tmp_path: Path) -> None:
    folder = make("llama", tmp_path / "model")
    change_config(folder, intermediate_size=1024)
    with pytest.raises(PruneError, match="in another shape"):
        BlockModel(folder)
    change_config(folder, intermediate_size=512, num_hidden_layers=3)
    with pytest.raises(PruneError, match=r"does not hold “model\.layers\.2"):
        BlockModel(folder)


def test_a_weight_that_is_not_a_number(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = make("llama", tmp_path / "model")
    values = tensors(folder)
    values["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    save_file(values, folder / "model.safetensors", {"format": "pt"})
    model = BlockModel(folder)
    model.block(0)
    with pytest.raises(PruneError, match=r"Block 1 .* “mlp\.up_proj\.weight”"):
        model.block(1)
