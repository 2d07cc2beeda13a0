"""On trained models: how far half of the FFN away takes them from what they were, with the refit and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from app.operation import Context
from app.prune.loading import load_model
from app.prune.messages import Prune, PruneMethod
from app.prune.prune import prune
from tests.real_models import CALIBRATION, EVAL_CODE, STDLIB_3M, starter_folder

WINDOW, WINDOWS = 256, 4


def log_probabilities(folder: Path) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(STDLIB_3M)
    tokens = tokenizer(EVAL_CODE.read_text(), verbose=False)["input_ids"][: WINDOW * WINDOWS]
    with torch.no_grad():
        logits: torch.Tensor = load_model(folder, torch.float32)(torch.tensor(tokens).view(WINDOWS, WINDOW)).logits
    return logits.log_softmax(-1)


def divergence(source: Path, output: Path, method: PruneMethod, chunks: int = 24, **options: Any) -> float:
    """Mean KL divergence from `source` of its half."""
    options |= {"width_multiple": 128, "text": CALIBRATION, "chunks": chunks, "threads": 1}
    cut = log_probabilities(prune(Prune(source, output, method, 0.5, **options), Context()).path)
    dense = log_probabilities(source)
    return float((dense.exp() * (dense - cut)).sum(-1).mean())


def test_the_refit_wins_back_a_part_of_the_ffn_and_gate_and_up_more(tmp_path: Path) -> None:
    """Of two layers, in which little is said twice."""
    down = divergence(STDLIB_3M, tmp_path / "down", PruneMethod.FFN)
    assert down < 0.75 * divergence(STDLIB_3M, tmp_path / "cut", PruneMethod.FFN, refit=False)
    assert divergence(STDLIB_3M, tmp_path / "all", PruneMethod.FFN, refit_gate_up=True) < 0.95 * down


def test_the_refit_wins_back_a_part_of_the_kv_groups(tmp_path: Path) -> None:
    fitted = divergence(STDLIB_3M, tmp_path / "fitted", PruneMethod.KV_GROUPS)
    assert fitted < 0.8 * divergence(STDLIB_3M, tmp_path / "cut", PruneMethod.KV_GROUPS, refit=False)


@pytest.mark.wide
def test_the_refit_wins_back_a_third_of_the_ffn(tmp_path: Path) -> None:
    """0.61 was measured; 24 windows of text instead of 64 leave 0.76."""
    source = starter_folder(tmp_path / "starter")
    fitted = divergence(source, tmp_path / "fitted", PruneMethod.FFN, chunks=64)
    assert fitted < 0.67 * divergence(source, tmp_path / "cut", PruneMethod.FFN, chunks=64, refit=False)
