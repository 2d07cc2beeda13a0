"""How far a model is from its teacher on text that nobody trained on: KL divergence and perplexity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.errors import Cancelled
from app.operation import Progress, Report, ShouldStop, Stage
from app.recover.language_model import LanguageModel
from app.recover.memory import chunk_positions


@dataclass(frozen=True, slots=True)
class Distance:
    """Means over all positions: nats of KL(teacher, student), and of the text's next token for each of the two."""

    kl: float
    log_perplexity: float
    teacher_log_perplexity: float

    @property
    def perplexity(self) -> float:
        """Of the student."""
        return math.exp(min(self.log_perplexity, 700.0))

    @property
    def teacher_perplexity(self) -> float:
        """Of the teacher."""
        return math.exp(min(self.teacher_log_perplexity, 700.0))


@torch.no_grad()
def measure(
    student: LanguageModel, teacher: LanguageModel, windows: Tensor, report: Report, stop: ShouldStop
) -> Distance:
    """Read every window `[windows, length]` with both. NaN where the student's logits are. Raises Cancelled."""
    sums = torch.zeros(3, dtype=torch.float64)
    for done, window in enumerate(windows):
        report(Progress(Stage.HELD_OUT, done, len(windows)))
        if stop():
            raise Cancelled
        sums += _of_window(student, teacher, window)
    report(Progress(Stage.HELD_OUT, len(windows), len(windows)))
    kl, own, teachers = (sums / (windows.numel() - len(windows))).tolist()
    return Distance(kl, own, teachers)


def _of_window(student: LanguageModel, teacher: LanguageModel, window: Tensor) -> Tensor:
    targets, size = window[1:], chunk_positions(student.vocabulary)
    own, aims = student.hidden(window[None])[0, :-1], teacher.hidden(window[None])[0, :-1]
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        log_q, log_p = student.logits(own[part]).log_softmax(-1), teacher.logits(aims[part]).log_softmax(-1)
        kl = (log_p.exp() * (log_p - log_q)).sum()
        following = targets[part, None]
        sums += torch.stack([kl, -log_q.gather(1, following).sum(), -log_p.gather(1, following).sum()]).double()
    return sums
