"""The loss in chunks is the loss; temperature and the share of cross-entropy do what their formulas say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from app.recover import memory
from app.recover.adapters import prepare
from app.recover.language_model import LanguageModel, open_model
from app.recover.messages import Recover, RecoverMethod
from app.recover.training import Loss, backward
from tests.real_models import STDLIB_3M


def gradients(student: LanguageModel) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in student.model.named_parameters() if p.grad is not None}
    student.model.zero_grad()
    return found


@pytest.mark.parametrize("loss", [Loss(), Loss(2.0), Loss(2.0, 0.3), Loss(hard=1.0)])
def test_in_chunks_it_is_the_plain_formula(cut: Path, monkeypatch: pytest.MonkeyPatch, loss: Loss) -> None:
    teacher, student = open_model(STDLIB_3M), open_model(cut)
    prepare(student, Recover(cut, STDLIB_3M, Path(), RecoverMethod.FULL), torch.bfloat16)
    tokens = torch.randint(4096, (2, 24), generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(memory, "CHUNK_BYTES", 4 * 4096 * 10)  # ten positions: the last chunk is shorter
    value = backward(student, teacher, tokens, loss, 46)
    ours = gradients(student)

    with torch.no_grad():
        p = (teacher.model(tokens).logits[:, :-1] / loss.temperature).softmax(-1)
    logits = student.model(tokens).logits[:, :-1]
    q = (logits / loss.temperature).softmax(-1)
    kl = (p * (p / q).log()).sum(-1).mean() * loss.temperature**2
    whole = (1 - loss.hard) * kl + loss.hard * functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    whole.backward()
    assert value == pytest.approx(whole.item(), rel=1e-4)
    theirs = gradients(student)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-6)


def test_a_model_is_at_no_distance_from_itself() -> None:
    model = open_model(STDLIB_3M)
    logits = model.logits(model.hidden(torch.tensor([[5, 6, 7]])))[0]
    assert Loss(3.0).of(logits, logits, torch.tensor([6, 7, 8])).item() == pytest.approx(0, abs=1e-5)
