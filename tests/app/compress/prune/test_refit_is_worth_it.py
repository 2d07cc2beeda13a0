"""On trained models: how far half of the FFN away takes them from what they were, with the refit and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from app.compress.prune.loading import load_model
from app.compress.prune.prune import prune
from app.pruning import Prune, PruneMethod
from tests.real_models import CALIBRATION, EVAL_CODE, STDLIB_3M, starter_folder

WINDOW, WINDOWS = 256, 4


def log_probabilities(folder: Path) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(STDLIB_3M)
    tokens = tokenizer(EVAL_CODE.read_text(), verbose=False)["input_ids"][: WINDOW * WINDOWS]
    with torch.no_grad():
        logits: torch.Tensor = load_model(folder, torch.float32)(torch.tensor(tokens).view(WINDOWS, WINDOW)).logits
    return logits.log_softmax(-1)


def gain(source: Path, folder: Path, method: PruneMethod, chunks: int = 24) -> float:
    """KL divergence from `source` with the refit, over that without."""
    dense = log_probabilities(source)
    found = []
    for refit in (True, False):
        options: dict[str, Any] = {
            "refit": refit,
            "width_multiple": 128,
            "text": CALIBRATION,
            "chunks": chunks,
            "threads": 1,
        }
        request = Prune(source, folder / str(refit), method, 0.5, **options)
        cut = log_probabilities(prune(request, lambda _event: None, lambda: False).path)
        found.append(float((dense.exp() * (dense - cut)).sum(-1).mean()))
    return found[0] / found[1]


@pytest.mark.parametrize(("method", "most"), [(PruneMethod.FFN, 0.75), (PruneMethod.KV_GROUPS, 0.8)])
def test_the_refit_wins_back_a_part(tmp_path: Path, method: PruneMethod, most: float) -> None:
    """Of two layers, in which little is said twice."""
    assert gain(STDLIB_3M, tmp_path, method) < most


@pytest.mark.wide
def test_the_refit_wins_back_a_third_of_the_ffn(tmp_path: Path) -> None:
    """0.61 was measured; 24 windows of text instead of 64 leave 0.76."""
    assert gain(starter_folder(tmp_path / "starter"), tmp_path, PruneMethod.FFN, chunks=64) < 0.67
