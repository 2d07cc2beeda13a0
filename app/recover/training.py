"""The loop: AdamW, warm-up and cosine, clipped gradients, a checkpoint each minute, and back to it after a NaN.

Interrupted at any moment and run again it ends with the same weights, bit for bit, on the same machine and threads.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from app.errors import Cancelled, RecoverError, StorageError
from app.operation import Progress, Report, ShouldStop, Stage
from app.recover.adapters import Training
from app.recover.language_model import LanguageModel
from app.recover.memory import chunk_positions
from app.recover.messages import Recover, RecoverMethod
from app.recover.texts import order

# What an interrupted training goes on from: weights, optimizer and position, in one file, replaced as a whole.


_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Position:
    """How far training is. Data and learning rate follow from the step; nothing is drawn on the way."""

    step: int = 0
    rate_factor: float = 1.0
    """A factor, below 1 after the loss was not a number once."""
    seconds: float = 0.0
    """Spent on training, over all runs."""


def save(path: Path, position: Position, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint. Raises StorageError; then the old one is still there."""
    tensors = {f"parameter.{i}": p.detach() for i, p in enumerate(parameters)}
    for i, parameter in enumerate(parameters):
        state = optimizer.state.get(parameter, {})
        tensors |= {f"{name}.{i}": state[name] for name in _MOMENTS if name in state}
    part = path.with_name(path.name + ".part")
    try:
        save_file(
            {name: t.contiguous() for name, t in tensors.items()}, part, {"position": json.dumps(asdict(position))}
        )
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"The state of the training could not be saved: {error}.", "See that there is room on the disk."
        ) from error


def load(path: Path, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> Position:
    """Put everything back in place. Raises StorageError for a file that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            names = set(file.keys())
            for i, parameter in enumerate(parameters):
                parameter.data.copy_(file.get_tensor(f"parameter.{i}"))
                moments = {name: file.get_tensor(f"{name}.{i}") for name in _MOMENTS if f"{name}.{i}" in names}
                _set_moments(optimizer, parameter, moments, position.step)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StorageError(
            f"The state of an earlier training cannot be read: {error}.", f"Delete {path.parent} to begin again."
        ) from error
    return position


def _set_moments(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, moments: dict[str, Tensor], step: int
) -> None:
    optimizer.state.pop(parameter, None)
    if moments:
        optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}


CHECKPOINT_SECONDS = 60.0
LEARNING_RATES = {RecoverMethod.LORA: 1e-3, RecoverMethod.QLORA: 1e-3, RecoverMethod.FULL: 1e-4}
_ON_GRID_RATES = {RecoverMethod.LORA: 2.5e-4, RecoverMethod.QLORA: 2.5e-4, RecoverMethod.FULL: 7.5e-5}
"""Where weights are trained on a grid: larger steps flip more codes than they mend."""
_CLIP = 1.0
_LAST_SHARE = 0.05
"""A share of the learning rate, at the end."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What each step does; follows from the request alone."""

    steps: int
    rate: float
    progressive: bool

    @classmethod
    def of(cls, request: Recover) -> Schedule:
        """The schedule, of at least one step; the budget is rounded up to whole ones."""
        steps = max(1, math.ceil(request.budget_tokens / (request.batch_windows * request.context_tokens)))
        rates = _ON_GRID_RATES if request.quantization_aware else LEARNING_RATES
        return cls(steps, request.learning_rate or rates[request.method], request.progressive)

    def rate_at(self, step: int) -> float:
        """Linear from near zero over the first tenth, then half a cosine."""
        warm_up = max(1, min(100, self.steps // 10))
        if step < warm_up:
            return self.rate * (step + 1) / warm_up
        share = (step - warm_up) / max(1, self.steps - warm_up)
        return self.rate * (_LAST_SHARE + (1 - _LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))

    def windows_at(self, step: int, batch: Tensor) -> Tensor:
        """The batch `[windows, length]`; where it is progressive, cut into four, then two, then whole windows."""
        parts = (4, 2, 1)[min(2, step * 3 // self.steps)] if self.progressive else 1
        length = batch.shape[1] // parts
        return batch[:, : length * parts].reshape(-1, length)


class Trainer:
    """One training. `micro` windows are gone through at once; gradients of a step's are added up."""

    def __init__(
        self, student: LanguageModel, teacher: LanguageModel, training: Training, request: Recover, micro: int
    ) -> None:
        self._student, self._teacher, self._training = student, teacher, training
        self._request, self._micro = request, micro
        self._loss = Loss(request.temperature, request.hard_loss)
        self._schedule = Schedule.of(request)
        self._optimizer = torch.optim.AdamW(training.parameters, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)

    def run(self, windows: Tensor, checkpoint: Path, report: Report, stop: ShouldStop) -> Position:
        """Train to the end, from the checkpoint where there is one. Raises Cancelled, RecoverError, StorageError."""
        position = self._resume(checkpoint)
        saved_at = time.monotonic()
        while position.step < self._schedule.steps:
            begun = time.monotonic()
            loss = self.step(self._batch(windows, position.step), position, stop)
            if loss is None:
                self._save(checkpoint, position)
                raise Cancelled
            if not math.isfinite(loss):
                position = self._step_back(checkpoint, position)
                continue
            position = replace(position, step=position.step + 1, seconds=position.seconds + time.monotonic() - begun)
            self._say(position, loss, report)
            if time.monotonic() - saved_at >= CHECKPOINT_SECONDS or position.step == self._schedule.steps:
                self._save(checkpoint, position)
                saved_at = time.monotonic()
        return position

    def step(self, batch: Tensor, position: Position, stop: ShouldStop) -> float | None:
        """One step of the optimizer; returns the loss, or None where it was stopped before anything was changed."""
        self._optimizer.zero_grad(set_to_none=True)
        windows = self._schedule.windows_at(position.step, batch)
        positions = windows.numel() - len(windows)
        total = 0.0
        # As many tokens at once in short windows as in whole ones.
        for part in torch.split(windows, max(1, self._micro * batch.shape[1] // windows.shape[1])):
            if stop():
                return None
            total += backward(self._student, self._teacher, part, self._loss, positions)
        norm = torch.nn.utils.clip_grad_norm_(self._training.parameters, _CLIP)
        if not math.isfinite(total) or not torch.isfinite(norm):
            return math.nan
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate_at(position.step) * position.rate_factor
        self._optimizer.step()
        return total

    def _batch(self, windows: Tensor, step: int) -> Tensor:
        size = self._request.batch_windows
        return windows[list(itertools.islice(order(len(windows), self._request.seed), step * size, (step + 1) * size))]

    def _resume(self, checkpoint: Path) -> Position:
        if not checkpoint.is_file():
            self._save(checkpoint, Position())
        return load(checkpoint, self._training.parameters, self._optimizer)

    def _save(self, checkpoint: Path, position: Position) -> None:
        save(checkpoint, position, self._training.parameters, self._optimizer)

    def _step_back(self, checkpoint: Path, position: Position) -> Position:
        """Go back to the last checkpoint, with a quarter of the learning rate; once."""
        if position.rate_factor < 1:
            raise RecoverError(
                "The training went astray twice: its loss was not a number. Nothing was written.",
                "Try a lower learning rate, or see whether the pruned model still answers at all.",
            )
        back = load(checkpoint, self._training.parameters, self._optimizer)
        back = replace(back, rate_factor=0.25)
        self._save(checkpoint, back)
        return back

    def _say(self, position: Position, loss: float, report: Report) -> None:
        tokens = self._request.batch_windows * self._request.context_tokens
        left = position.seconds / position.step * (self._schedule.steps - position.step)
        report(Progress(Stage.RECOVER, position.step * tokens, self._schedule.steps * tokens, left, loss))


# What is learned: the teacher's distribution of the next token, not only the token that followed.
#
# Forward KL divergence of the logits, with temperature (Hinton et al. 2015, arXiv 1503.02531; for pruned models
# Minitron, arXiv 2407.14679), and on request the cross-entropy of the text mixed in.


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
