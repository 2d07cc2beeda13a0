"""What is learned: the teacher's distribution of the next token, not only the token that followed.

Forward KL divergence of the logits, with temperature (Hinton et al. 2015, arXiv 1503.02531; for pruned models Minitron,
arXiv 2407.14679), and on request the cross-entropy of the text mixed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from app.recover.language_model import LanguageModel
from app.recover.memory import chunk_positions


@dataclass(frozen=True, slots=True)
class Loss:
    """`hard` of it is cross-entropy, the rest KL divergence at `temperature`, times its square as the gradients of
    softened distributions are smaller by that."""

    temperature: float = 1.0
    hard: float = 0.0

    def of(self, student: Tensor, teacher: Tensor | None, targets: Tensor) -> Tensor:
        """Sum over the positions. Logits `[positions, vocabulary]`; `teacher` may be None where only `hard` counts."""
        loss = student.new_zeros(())
        if teacher is not None and self.hard < 1:
            soft = self.temperature
            log_p, log_q = (teacher / soft).log_softmax(-1), (student / soft).log_softmax(-1)
            divergence = functional.kl_div(log_q, log_p, reduction="sum", log_target=True)
            loss = loss + (1 - self.hard) * soft * soft * divergence
        if self.hard > 0:
            loss = loss + self.hard * functional.cross_entropy(student, targets, reduction="sum")
        return loss


def backward(student: LanguageModel, teacher: LanguageModel, tokens: Tensor, loss: Loss, positions: int) -> float:
    """Add the gradients of these windows `[windows, length]` to the student's; returns the loss.

    It is the sum over this call's positions, divided by `positions`: of the whole step, so that windows add up.
    The logits are made, compared and let go a chunk of positions at a time; the blocks are gone through once.
    """
    targets = tokens[:, 1:].reshape(-1)
    with torch.no_grad():
        wanted = teacher.hidden(tokens)[:, :-1].flatten(0, 1) if loss.hard < 1 else None
    hidden = student.hidden(tokens)
    cut = hidden.detach()[:, :-1].flatten(0, 1).requires_grad_()
    total, size = 0.0, chunk_positions(student.vocabulary)
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        with torch.no_grad():
            aim = None if wanted is None else teacher.logits(wanted[part])
        value = loss.of(student.logits(cut[part]), aim, targets[part]) / positions
        value.backward()  # type: ignore[no-untyped-call]
        total += value.item()
    assert cut.grad is not None
    gradient = torch.zeros_like(hidden)
    gradient[:, :-1] = cut.grad.view_as(hidden[:, :-1])
    hidden.backward(gradient)  # type: ignore[no-untyped-call]
    return total
