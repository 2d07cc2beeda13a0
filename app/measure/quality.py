"""Perplexity, and against a reference KL divergence and top-1 agreement, as llama-perplexity computes them.

Windows of `context_tokens`, BOS in front of each where the model wants one, the second half scored. The source of the
method is llama.cpp's tools/perplexity/perplexity.cpp; the results equal its own within 0.5 % on the same windows. Where
it writes all logits of the reference to a file (gigabytes), here both models read a window and are compared at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.convert.messages import Convert
from app.engine.evaluation import Logits, ReadingPlan, WindowReader, open_reader, plan_reading
from app.errors import AppError, Cancelled, StorageError
from app.library.gguf_reader import printable
from app.library.safetensors import facts_of
from app.measure import scoring
from app.measure.ledger import record
from app.measure.messages import MeasureQuality, Quality
from app.measure.scoring import Scores
from app.measure.speed import measure_speed
from app.measure.texts import EvaluationText, choose_windows, read_text
from app.operation import Context, Notice, Progress, Report, ShouldStop, Stage
from app.system.files import PART, held, is_held, is_taken, own_name
from app.system.hardware import available_memory_bytes, physical_cores
from app.system.paths import Paths
from app.units import percent, size_text

# What a model is compared with: a GGUF file as it is, or a folder of safetensors by way of a file that goes again.


_EXACT_TYPES = {"F32": "f32", "F16": "f16"}


@contextlib.contextmanager
def as_gguf(reference: Path | None, paths: Paths, report: Report, stop: ShouldStop) -> Iterator[Path | None]:
    """A GGUF file of the reference. Raises what `convert` raises for a folder that cannot be converted.

    A folder is converted in the type its weights are stored in, so that nothing but the model's own loss is measured.
    A copy that another measurement reads stays; this one makes its own then.
    """
    if reference is None or not reference.is_dir():
        yield reference
        return
    from app.convert.conversion import convert

    output = paths.reference_copy(reference)
    if is_held(output) or is_taken(output.with_name(output.name + PART)):
        output = own_name(output, ".gguf")
    facts = facts_of(reference)
    kind = _EXACT_TYPES.get(facts.type.upper() if facts else "", "bf16")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{output.parent} cannot be written to: {error.strerror or error}.") from error
    try:
        convert(Convert(reference, output, kind), Context(report=report, stop=stop))
        with held(output):
            yield output
    finally:
        with contextlib.suppress(OSError):
            output.unlink(missing_ok=True)


_LEAST_WINDOW = 16
_LEAST_WINDOWS = 4
_MOST_WINDOWS = 64
_DEFAULT_WORK = 5e12
"""Weights times tokens that are read when no number of windows is asked for. It depends on nothing but the model and
the context, so that all variants of a model are measured on the same windows and can be compared."""
_KEPT_BYTES = 256_000_000
"""The size of the reference's likeliest tokens, where the models are loaded one after the other."""


@dataclass(frozen=True, slots=True)
class _Task:
    """All that is settled before weights are read. `windows` holds the token ids of each."""

    request: MeasureQuality
    paths: Paths
    text: EvaluationText
    windows: tuple[tuple[int, ...], ...]
    vocabulary_size: int
    together: bool
    """Both models in memory at once."""


def measure_quality(request: MeasureQuality, context: Context) -> Quality:
    """Measure `request.model`. Raises AppError (with the sizes where memory is short, before loading) and Cancelled.

    A reference that is a folder of safetensors is converted to a file that goes again at the end.
    In need of memory for both, the reference is read first and what it thinks is kept; a Notice says so, and how much
    of the distributions was put together.
    """
    with as_gguf(request.reference, context.paths, context.report, context.stop) as reference:
        found = _measure(dataclasses.replace(request, reference=reference), context.paths, context.report, context.stop)
    return dataclasses.replace(found, reference=request.reference)


def measure_and_record(request: MeasureQuality, context: Context) -> Quality:
    """Do the same as `measure_quality`; what was measured stands in the ledger, also where the window that asked is
    gone by now.
    """
    quality = measure_quality(request, context)
    record(context.paths.ledger, quality)
    return quality


def _measure(request: MeasureQuality, paths: Paths, report: Report, stop: ShouldStop) -> Quality:
    text = read_text(request.text)
    task = _prepare(request, paths, text, report, stop)
    if request.reference is None:
        ours, reference = _read_alone(task, report, stop), None
    elif task.together:
        ours, reference = _read_together(task, request.reference, report, stop)
    else:
        ours, reference = _read_in_turn(task, request.reference, report, stop)
    speed = measure_speed(request.model, request.threads, paths, report, stop) if request.speed else None
    return Quality(
        path=request.model,
        reference=request.reference,
        text=text.name,
        context_tokens=request.context_tokens,
        scored_tokens=sum(map(len, ours.surprise)),
        perplexity=scoring.exponential(scoring.mean(ours.surprise)),
        reference_perplexity=scoring.exponential(scoring.mean(reference.surprise)) if reference else None,
        kl_mean=scoring.mean(ours.divergence) if reference else None,
        kl_99=scoring.percentile(ours.divergence, 0.99) if reference else None,
        top_1=scoring.agreement(ours.tops, reference.tops) if reference else None,
        speed=speed,
    )


def default_windows(parameters: int, context_tokens: int) -> int:
    """How many windows are read where no number is asked for: under two minutes for 1 B weights on 2 cores."""
    affordable = int(_DEFAULT_WORK / max(1, parameters) / context_tokens)
    return max(_LEAST_WINDOWS, min(_MOST_WINDOWS, affordable))


def _prepare(request: MeasureQuality, paths: Paths, text: EvaluationText, report: Report, stop: ShouldStop) -> _Task:
    """Check everything that can be checked without reading weights."""
    size = request.context_tokens
    if size < _LEAST_WINDOW:
        raise AppError(f"A window of {size} tokens is too short to measure on.", f"Take {_LEAST_WINDOW} or more.")
    plan = plan_reading(request.model, text.content, size)
    plans = [plan]
    if stop():
        raise Cancelled
    if request.reference is not None:
        plans.append(plan_reading(request.reference, text.content, size))
        _check_same_vocabulary(*plans)
    for one in plans:
        if 0 < one.trained_context_tokens < size:
            raise AppError(
                f"{printable(one.path.name)} was trained for {one.trained_context_tokens:,} tokens of context, "
                f"and is asked to be measured with {size:,}.",
                "Take a shorter context.",
            )
    available = len(plan.tokens) // size
    if not available:
        raise AppError(
            f"The text is too short: {len(plan.tokens):,} tokens, and one window alone takes {size:,}.",
            "Take a longer text or a shorter context.",
        )
    wanted = request.chunks or default_windows(max(one.parameters for one in plans), size)
    numbers = choose_windows(available, wanted)
    windows = tuple(plan.tokens[number * size : (number + 1) * size] for number in numbers)
    kept_bytes = min(_KEPT_BYTES, 8 * plan.vocabulary_size * _scored(windows)) if len(plans) > 1 else 0
    return _Task(request, paths, text, windows, plan.vocabulary_size, _fit_together(plans, kept_bytes, report))


def _scored(windows: Sequence[tuple[int, ...]]) -> int:
    """Positions that are scored: the second half of each window but its last."""
    return sum(len(window) - 1 - len(window) // 2 for window in windows)


def _check_same_vocabulary(plan: ReadingPlan, reference: ReadingPlan) -> None:
    if plan.vocabulary_digest != reference.vocabulary_digest or plan.tokens != reference.tokens:
        raise AppError(
            f"{printable(plan.path.name)} and {printable(reference.path.name)} have different vocabularies "
            f"({plan.vocabulary_size:,} and {reference.vocabulary_size:,} tokens), so that what they think cannot be "
            "compared token by token.",
            "Choose the model that this one was made from as the reference.",
        )


def _fit_together(plans: Sequence[ReadingPlan], kept_bytes: int, report: Report) -> bool:
    """Whether all fit in memory at once. Raises AppError where one, and what is kept of it, does not fit alone."""
    available = available_memory_bytes()
    if sum(plan.need_bytes for plan in plans) <= available:
        return True
    largest = max(plans, key=lambda plan: plan.need_bytes)
    wanted = largest.need_bytes + kept_bytes
    if wanted > available:
        raise AppError(
            f"Measuring with {printable(largest.path.name)} needs {size_text(wanted)} of memory, "
            f"and {size_text(available)} are free.",
            "Close other programs, or measure against a smaller reference, such as its Q8_0."
            if len(plans) > 1
            else "Close other programs.",
        )
    both = size_text(sum(plan.need_bytes for plan in plans))
    report(
        Notice(f"Both models together need {both}, and {size_text(available)} are free: one is read after the other.")
    )
    return False


def _read_alone(task: _Task, report: Report, stop: ShouldStop) -> Scores:
    with _reader(task, task.request.model, report, stop) as reader:
        scores, clock = Scores(), _Clock(Stage.QUALITY, len(task.windows), report)
        for window in task.windows:
            _add_window(
                scores, [scoring.score(rows, _next(window, at, rows)) for at, rows in _read(reader, window, stop)]
            )
            clock.step()
        return scores


def _read_together(task: _Task, reference: Path, report: Report, stop: ShouldStop) -> tuple[Scores, Scores]:
    """Both models read a window slice by slice; nothing is kept but a few numbers for each position."""
    with (
        _reader(task, reference, report, stop) as theirs,
        _reader(task, task.request.model, report, stop) as ours,
    ):
        scores, reference_scores = Scores(), Scores()
        clock = _Clock(Stage.QUALITY, len(task.windows), report)
        for window in task.windows:
            mine, other, divergences = [], [], []
            pairs = zip(_read(theirs, window, stop), _read(ours, window, stop), strict=True)
            for (at, reference_rows), (_, rows) in pairs:
                targets = _next(window, at, rows)
                other.append(scoring.score(reference_rows, targets))
                mine.append(scoring.score(rows, targets))
                divergences.append(scoring.divergence(reference_rows, rows))
            _add_window(reference_scores, other)
            _add_window(scores, mine, divergences)
            clock.step()
        return scores, reference_scores


def _read_in_turn(task: _Task, reference: Path, report: Report, stop: ShouldStop) -> tuple[Scores, Scores]:
    """First the reference over all windows, its likeliest tokens kept; then the model."""
    count = min(task.vocabulary_size, _KEPT_BYTES // (8 * _scored(task.windows)))
    kept: list[scoring.KeptRows] = []
    reference_scores, scores = Scores(), Scores()
    with _reader(task, reference, report, stop) as theirs:
        clock = _Clock(Stage.REFERENCE, len(task.windows), report)
        for window in task.windows:
            found = []
            for at, rows in _read(theirs, window, stop):
                found.append(scoring.score(rows, _next(window, at, rows)))
                kept.append(scoring.keep(rows, count))
            _add_window(reference_scores, found)
            clock.step()
    rest = float(np.concatenate([rows.rest for rows in kept]).mean())
    kept.reverse()
    with _reader(task, task.request.model, report, stop) as ours:
        clock = _Clock(Stage.QUALITY, len(task.windows), report)
        for window in task.windows:
            found, divergences = [], []
            for at, rows in _read(ours, window, stop):
                found.append(scoring.score(rows, _next(window, at, rows)))
                divergences.append(scoring.divergence_from_kept(kept.pop(), rows))
            _add_window(scores, found, divergences)
            clock.step()
    if count < task.vocabulary_size:
        report(
            Notice(
                f"The {count:,} likeliest tokens were compared one by one, the rest as one ({percent(rest, 2)} of all)."
            )
        )
    return scores, reference_scores


@contextlib.contextmanager
def _reader(task: _Task, path: Path, report: Report, stop: ShouldStop) -> Iterator[WindowReader]:
    threads = task.request.threads or physical_cores()
    reader = open_reader(path, task.request.context_tokens, threads, task.paths, report, stop)
    try:
        yield reader
    finally:
        reader.close()


def _read(reader: WindowReader, window: tuple[int, ...], stop: ShouldStop) -> Iterator[tuple[int, Logits]]:
    for at, rows in reader.read(window):
        if stop():
            raise Cancelled
        yield at, rows


def _next(window: tuple[int, ...], at: int, rows: Logits) -> scoring.Ids:
    """The tokens that come after the positions of the rows."""
    return np.array(window[at + 1 : at + 1 + len(rows)], np.int64)


def _add_window(
    scores: Scores, slices: Sequence[tuple[scoring.F64, scoring.Ids]], divergences: Sequence[scoring.F64] = ()
) -> None:
    """One array a window, however many slices it was read in."""
    surprise, tops = (np.concatenate(parts) for parts in zip(*slices, strict=True))
    scores.add(surprise, tops, np.concatenate(divergences) if divergences else None)


class _Clock:
    """Reports windows done and the time left, from the mean of those before."""

    def __init__(self, stage: Stage, total: int, report: Report) -> None:
        self._stage, self._total, self._report = stage, total, report
        self._done = 0
        self._start = time.monotonic()
        report(Progress(stage, 0, total))

    def step(self) -> None:
        """A window was read."""
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._total - self._done)
        self._report(Progress(self._stage, self._done, self._total, left))
