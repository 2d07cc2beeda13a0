"""Layers that differ in width: one folder, one GGUF file, the same answers, and nothing that reads them chokes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.convert import conversion, families
from app.convert.conversion import check, convert
from app.convert.messages import Convert
from app.engine.memory import memory_need
from app.engine.messages import LoadModel
from app.errors import ConversionError
from app.library.gguf_file import read_header
from app.operation import Context
from app.prune.other_architecture import Widths, housed
from app.quantize.messages import PlanOffers, Quantize
from app.quantize.preview import plan_offers
from app.quantize.quantize import quantize
from app.system.paths import Paths
from tests.app.convert.logits import kl, of_llama_cpp
from tests.app.convert.small_models import VOCABULARY, change_config, make

CLOSE = 1e-5
TOKENS = [int(n) for n in np.random.default_rng(3).integers(4, VOCABULARY, 100)]
WIDTHS = [Widths(8, 2, 256), Widths(4, 1, 512), Widths(8, 2, 512)]
HEAD = 32


def cut(folder: Path, widths: list[Widths]) -> Path:
    """Keep the first rows and columns of each matrix, as many as `widths` say."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if not (match := re.search(r"layers\.(\d+)\..*?(\w+)_proj\.(weight|bias)", name)):
            continue
        of = widths[int(match[1])]
        count = {"q": of.heads * HEAD, "o": of.heads * HEAD, "k": of.kv_heads * HEAD, "v": of.kv_heads * HEAD}
        wanted = count.get(match[2], of.ffn)
        if match[2] not in ("o", "down"):
            tensors[name] = tensor[:wanted].contiguous()
        elif match[3] == "weight":
            tensors[name] = tensor[:, :wanted].contiguous()
    save_file(tensors, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    change_config(folder, **housed(config, widths).changes)
    return folder


def logits(folder: Path) -> np.ndarray:
    import torch

    from app.prune.loading import load_model

    with torch.no_grad():
        return load_model(folder, torch.float32)(torch.tensor([TOKENS])).logits[0].numpy()


def converted(folder: Path, output: Path, kind: str = "f32") -> Path:
    convert(Convert(folder, output, kind), Context())
    return output


@pytest.fixture(scope="module", params=["llama3", "llama-biased", "qwen2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(make(request.param, tmp_path_factory.mktemp(request.param), num_hidden_layers=3), WIDTHS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(make("llama", tmp_path_factory.mktemp("plain"), num_hidden_layers=3), WIDTHS)


def test_it_computes_the_same(folder: Path, tmp_path: Path) -> None:
    assert kl(logits(folder), of_llama_cpp(converted(folder, tmp_path / "m.gguf"), TOKENS)) < CLOSE


def test_rows_that_are_not_reordered_by_their_own_heads_show(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = families.family_of
    monkeypatch.setattr(conversion, "family_of", lambda config: dataclasses.replace(given(config), interleaved=False))
    assert kl(logits(plain), of_llama_cpp(converted(plain, tmp_path / "m.gguf"), TOKENS)) > 100 * CLOSE


def test_header_memory_and_offers_read_it(plain: Path, tmp_path: Path) -> None:
    file = converted(plain, tmp_path / "m.gguf", "bf16")
    header = read_header(file)
    assert (header.architecture, header.layers, header.heads, header.kv_heads) == ("deci", 3, 8, 2)
    need = memory_need(LoadModel(file, 512))
    # The middle layer has one KV head of two: 5/6 of the cache of three equal layers, in f16.
    assert need.kv_bytes == pytest.approx(2 * 2 * 512 * HEAD * (2 + 1 + 2), rel=0.02)
    offers = plan_offers(PlanOffers(plain, ("Q4_K_M", "Q8_0"), 512), Context(paths=Paths(tmp_path))).offers
    assert 0 < offers[0].size_bytes < offers[1].size_bytes < file.stat().st_size


@pytest.mark.parametrize(("kind", "most"), [("Q8_0", 0.01), ("Q4_K_M", 0.5)])
def test_it_quantizes(plain: Path, tmp_path: Path, kind: str, most: float) -> None:
    """Random weights are quantized badly; what is shown is that nothing is mixed up."""
    output = tmp_path / "q.gguf"
    quantize(Quantize(plain, output, kind, threads=1), Context())
    assert kl(logits(plain), of_llama_cpp(output, TOKENS)) < most


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"intermediate_size": [256, 512]}, "each of the model's 3 layers"),
        ({"intermediate_size": [256, 0, 512]}, "each of the model's 3 layers"),
        ({"intermediate_size": [512, 256, 512]}, "not what config.json says"),
        ({"sliding_window": 64}, "sliding_window"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"head_dim": None}, "head_dim"),
    ],
)
def test_what_cannot_be_is_said(plain: Path, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    for file in plain.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change_config(tmp_path, **changes)
    with pytest.raises(ConversionError, match=sentence):
        check(tmp_path)


def test_heads_that_do_not_divide_are_said(tmp_path: Path) -> None:
    cut(make("llama", tmp_path, num_hidden_layers=3), [Widths(8, 2, 256), Widths(3, 2, 256), Widths(8, 2, 256)])
    with pytest.raises(ConversionError, match="do not divide"):
        check(tmp_path)


def test_transformers_reads_the_tokenizer_and_refuses_the_model(plain: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert len(AutoTokenizer.from_pretrained(plain)) == VOCABULARY
    with pytest.raises(ValueError, match="deci"):
        AutoModelForCausalLM.from_pretrained(plain)
