"""Every family is opened with the logits that transformers computes, whatever its files are stored as."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from app.errors import RecoverError
from app.recover.language_model import four_bit, open_model
from app.recover.stored_weights import share_equal
from tests.app.convert.small_models import make
from tests.real_models import STDLIB_3M

TOKENS = torch.arange(5, 37)[None]


def of_transformers(folder: Path) -> torch.Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits: torch.Tensor = model(TOKENS).logits
    return logits


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama-biased", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3", "granite"])
def test_a_family(kind: str, tmp_path: Path) -> None:
    model = open_model(make(kind, tmp_path / kind))
    torch.testing.assert_close(model.logits(model.hidden(TOKENS)), of_transformers(model.folder), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_held_in_16_bits_it_computes_as_in_32() -> None:
    model = open_model(STDLIB_3M)
    assert model.model.get_submodule(model.linears[0]).get_buffer("held").dtype == torch.bfloat16
    assert torch.equal(model.logits(model.hidden(TOKENS)), of_transformers(STDLIB_3M))
    with four_bit(model):
        rounded = model.logits(model.hidden(TOKENS))
    assert not torch.allclose(rounded, of_transformers(STDLIB_3M), atol=1e-2)  # control
    assert torch.equal(model.logits(model.hidden(TOKENS)), of_transformers(STDLIB_3M))


@torch.no_grad()
def test_what_both_models_have_is_in_memory_once(cut: Path) -> None:
    teacher, student = open_model(STDLIB_3M), open_model(cut)
    before = student.logits(student.hidden(TOKENS))
    attention = 2 * (256 + 128 + 128 + 256) * 256 * 2  # bf16
    assert share_equal(student.model, teacher.model) == attention + 4096 * 256 * 4
    assert torch.equal(student.logits(student.hidden(TOKENS)), before)


def test_a_model_without_linear_layers(tmp_path: Path) -> None:
    with pytest.raises(RecoverError, match="no linear layers"):
        open_model(make("gpt2", tmp_path / "gpt2"))
