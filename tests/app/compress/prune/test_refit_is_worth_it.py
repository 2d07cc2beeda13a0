"""On a trained model: half of the FFN away, with the refit less than half as far from the model as without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from app.compress.prune import narrowing
from app.compress.prune.loading import load_model
from app.compress.prune.prune import prune
from app.pruning import Prune, PruneMethod
from tests.real_models import CALIBRATION, EVAL_CODE, STDLIB_3M

WINDOW, WINDOWS = 256, 4


def log_probabilities(folder: Path) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(STDLIB_3M)
    tokens = tokenizer(EVAL_CODE.read_text(), verbose=False)["input_ids"][: WINDOW * WINDOWS]
    with torch.no_grad():
        logits: torch.Tensor = load_model(folder, torch.float32)(torch.tensor(tokens).view(WINDOWS, WINDOW)).logits
    return logits.log_softmax(-1)


def divergence(folder: Path) -> float:
    """From the model that was not cut, in nats a token."""
    dense, cut = log_probabilities(STDLIB_3M), log_probabilities(folder)
    return float((dense.exp() * (dense - cut)).sum(-1).mean())


def cut(output: Path, *, refit: bool, method: PruneMethod = PruneMethod.FFN) -> Path:
    request = Prune(STDLIB_3M, output, method, 0.5, refit=refit, width_multiple=128, text=CALIBRATION, threads=1)
    return prune(request, lambda _event: None, lambda: False).path


@pytest.mark.parametrize("method", [PruneMethod.FFN, PruneMethod.KV_GROUPS])
def test_the_refit_wins_back_more_than_half(tmp_path: Path, method: PruneMethod) -> None:
    without = divergence(cut(tmp_path / "without", refit=False, method=method))
    fitted = divergence(cut(tmp_path / "fitted", refit=True, method=method))
    print(fitted, without, fitted/without)
    assert fitted < (0.5 if method is PruneMethod.FFN else 0.6) * without
