"""What a recovery would take on this machine: memory from the headers, time from steps that are really made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from app.errors import Cancelled
from app.operation import Context, ShouldStop
from app.recover.checkpoints import Position
from app.recover.language_model import measure
from app.recover.loading import Ready, check, load, plan_memory, threads
from app.recover.memory import Need
from app.recover.messages import PlanRecovery, Recover, RecoveryPlanned
from app.recover.texts import BATCH, HELD_OUT_WINDOWS
from app.recover.training import Schedule, Trainer

_TIMED_TOKENS = 24
Result = TypeVar("Result")


def plan_recovery(plan: PlanRecovery, context: Context) -> RecoveryPlanned:
    """Time and memory of `plan.recover`; nothing is written. Raises what `recover` would raise before it begins."""
    request = plan.recover
    check(request)
    need = plan_memory(request)
    with threads(request.threads):
        loading, ready = _timed(lambda: load(request, context.report, context.stop))
        seconds = 1.5 * loading + _reading_seconds(ready, context.stop)  # the result is opened once more
        seconds += _writing_seconds(request, ready, context.stop)
        seconds += _training_seconds(request, ready, need, context.stop)
    return RecoveryPlanned(seconds, need.peak_bytes, need.trained)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begun = time.monotonic()
    result = work()
    return time.monotonic() - begun, result


def _reading_seconds(ready: Ready, stop: ShouldStop) -> float:
    """The held-out text, before and after."""
    held_out = ready.texts.held_out
    spent, _ = _timed(lambda: measure(ready.student, ready.teacher, held_out[:1], lambda _event: None, stop))
    return 2 * HELD_OUT_WINDOWS * spent


def _writing_seconds(request: Recover, ready: Ready, stop: ShouldStop) -> float:
    """The time, from a short batch: a token costs a little more towards the end of a window."""
    tokens = ready.texts.written_tokens
    if not tokens:
        return 0.0
    writer = ready.writer(request)
    writer.batch(0, stop, 4)
    spent, _ = _timed(lambda: writer.batch(0, stop, _TIMED_TOKENS))
    batches = math.ceil(tokens / (BATCH * request.context_tokens))
    return batches * request.context_tokens * spent / (_TIMED_TOKENS - 1)


def _training_seconds(request: Recover, ready: Ready, need: Need, stop: ShouldStop) -> float:
    """The time, from the second of two steps, at the learning rate 0."""
    training = ready.make_trainable(request, need)
    trainer = Trainer(ready.student, ready.teacher, training, request, need.way.micro)
    held_out = ready.texts.held_out
    size = request.batch_windows
    windows = held_out[torch.arange(size) % len(held_out)]
    last = Schedule.of(request).steps - 1  # the longest windows, where it is progressive
    few = windows[: min(size, 2 * need.way.micro)]
    trainer.step(few[: need.way.micro], Position(last, rate_factor=0.0), stop)
    spent, loss = _timed(lambda: trainer.step(few, Position(last, rate_factor=0.0), stop))
    if loss is None:
        raise Cancelled
    return spent * size / len(few) * (last + 1)
