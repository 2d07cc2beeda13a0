"""The operation: from a pruned folder and the model it was cut from to a folder that answers more like it, or nothing.

check -> load -> [the teacher writes] -> read held-out text -> train -> write -> read held-out text -> rename. All on
the way lies in a hidden work folder beside the output; whoever runs the same request again goes on from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from app.convert.checkpoint import SourceTensor, open_checkpoint
from app.errors import Cancelled, NotBetterError, RecoverError, StorageError
from app.library.manifest import NAME as MANIFEST
from app.library.manifest import FileOrigin, Manifest, folder_origin, write_manifest
from app.library.provenance import Recovery, Steps, words_of
from app.library.safetensors import weight_files
from app.library.verify import sha256_of
from app.operation import Context, Report, ShouldStop
from app.recover.adapters import Training
from app.recover.language_model import DTYPES, Distance, LanguageModel, four_bit, measure, open_model
from app.recover.loading import Ready, check, load, plan_memory, threads
from app.recover.memory import Need
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, PlanRecovery, Recover, Recovered, RecoveryPlanned
from app.recover.texts import BATCH, HELD_OUT_WINDOWS, write_text
from app.recover.training import Position, Schedule, Trainer
from app.system.files import read_json, require_room, write_atomic
from app.system.hardware import peak_resident_bytes

# The recovered folder: a copy of the pruned one, byte for byte, in which the trained tensors are overwritten in
# place.


_LEFT_OUT = (".gguf", ".bin", ".pt", ".pth", ".pkl", ".part")
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def files_to_copy(folder: Path) -> list[Path]:
    """What makes up the model: weights, configuration, tokenizer, licence. No folders, nothing hidden, no GGUF."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name[0] != "." and path.name != MANIFEST and path.suffix not in _LEFT_OUT
    ]


def check_room(source: Path, output: Path, checkpoint_bytes: int) -> None:
    """Raises DiskFullError where result and checkpoints would not fit."""
    needed = sum(f.stat().st_size for f in files_to_copy(source)) + 2 * checkpoint_bytes
    hint = "Free some space, or choose a folder on another disk."
    require_room("Recovery takes up to", needed, output.parent, hint)


def write_folder(source: Path, result: Path, training: Training, stop: ShouldStop) -> None:
    """Make the folder `result` anew. Raises Cancelled, RecoverError for weights that are no numbers, OSError."""
    tensors = open_checkpoint(source)
    missing = [name for name in training.weights if name not in tensors and not _is_tied(name, tensors)]
    if missing:
        raise RecoverError(
            f"“{source.name}” stores its weights under other names than transformers: “{missing[0]}” is not there.",
            "Models of this kind cannot be recovered here yet.",
        )
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir(parents=True)
    for file in files_to_copy(source):
        if stop():
            raise Cancelled
        shutil.copyfile(file, result / file.name)
    for name, trained in training.weights.items():
        if name in tensors:
            _overwrite(tensors[name], result, trained)
    for file in result.glob("*.safetensors"):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _is_tied(name: str, tensors: dict[str, SourceTensor]) -> bool:
    """The output matrix is the embedding in many models, and in no file then."""
    return name == "lm_head.weight" and name not in tensors


def _overwrite(tensor: SourceTensor, result: Path, trained: Callable[[Tensor], Tensor]) -> None:
    value = trained(_read(tensor)).to(DTYPES[tensor.dtype])
    if tuple(value.shape) != tensor.shape:
        raise RecoverError(f"“{tensor.name}” has another shape in memory than in the file.")
    if not torch.isfinite(value).all():
        raise RecoverError(
            f"Training made “{tensor.name}” into values that are not numbers: nothing was written.",
            "Try a lower learning rate.",
        )
    with (result / tensor.file.name).open("rb+") as file:
        file.seek(tensor.offset)
        for row in _pieces(value):
            file.write(row)


def _read(tensor: SourceTensor) -> Tensor:
    data = torch.from_numpy(tensor.rows(0, tensor.shape[0]))
    return data.view(DTYPES[tensor.dtype])


def _pieces(value: Tensor) -> Iterator[bytes]:
    bits = value.contiguous().view(_BITS[value.element_size()])
    for piece in torch.split(bits, 4096):
        yield piece.numpy().tobytes()


# What a recovery is called: its work folder, what its manifest says, what an unfinished one must match. No torch here.


def workspace(output: Path) -> Path:
    """Hidden, beside the output: the written text, the last checkpoint, the result before it has its name."""
    return output.with_name(f".{output.name}.work")


def steps_of(request: Recover, kl_before: float, kl_after: float) -> Steps:
    """How the folder is made, for its manifest: the steps of the model itself, and the recovery."""
    is_file = request.text not in (TEACHER_TEXT, BUNDLED_TEXT)
    step = Recovery(
        method=str(request.method),
        tokens=request.budget_tokens,
        text_name=Path(request.text).name if is_file else "",
        bundled_text=request.text == BUNDLED_TEXT,
        hard_loss=request.hard_loss,
        grid=request.quantization_aware,
        kl_before=kl_before,
        kl_after=kl_after,
    )
    origin = folder_origin(request.model)
    return (*(origin.steps if origin is not None else ()), step)


def fingerprint(request: Recover) -> str:
    """The same for a request that may go on where another stopped: all that decides the result, and the files' state.

    Threads are left out: another number of them rounds sums otherwise, and is no reason to begin again.
    """
    asked = dataclasses.asdict(dataclasses.replace(request, output=Path(), threads=0))
    files = [*weight_files(request.model), *weight_files(request.teacher)]
    if request.text not in (TEACHER_TEXT, BUNDLED_TEXT):
        files.append(Path(request.text).expanduser())
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
    return hashlib.sha256(json.dumps([asked, stats], default=str, sort_keys=True).encode()).hexdigest()


_REQUEST, _BEFORE, _TEXT, _STATE, _RESULT = (
    "request.json",
    "before.json",
    "text.safetensors",
    "state.safetensors",
    "result",
)


def recover(request: Recover, context: Context) -> Recovered:
    """Make `request.output`. Raises RecoverError (also where the result is no better), ConversionError, StorageError,
    DiskFullError, Cancelled; then there is no output, and after a stop the work folder to go on from.
    """
    begun = time.monotonic()
    check(request)
    need = plan_memory(request)
    check_room(request.model, request.output, need.checkpoint_bytes)
    try:
        with threads(request.threads):
            work = _open_workspace(request)
            return _recover(request, need, work, context.report, context.stop, begun)
    except RecoverError:
        shutil.rmtree(workspace(request.output), ignore_errors=True)  # there is nothing to go on from
        raise
    except OSError as error:
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


def _recover(request: Recover, need: Need, work: Path, report: Report, stop: ShouldStop, begun: float) -> Recovered:
    ready = load(request, report, stop)
    if ready.texts.written_tokens:
        writer, tokens = ready.writer(request), ready.texts.written_tokens
        ready.texts = ready.texts.with_written(write_text(writer, tokens, work / _TEXT, report, stop))
    before = _before(request, ready, work / _BEFORE, report, stop)
    trained_tokens = _train(request, need, ready, work, report, stop)
    del ready.student  # its memory is for the result
    gc.collect()
    after = _after(request, ready, work / _RESULT, report, stop)
    if not after.kl < before.kl:
        raise NotBetterError(
            f"The trained model was no better on text it had not seen (divergence {after.kl:.4f}, before "
            f"{before.kl:.4f}): nothing was written.",
            "Try more tokens, a lower learning rate, or keep the pruned model as it is.",
            before.kl,
            (before.teacher_perplexity, before.perplexity),
        )
    steps = steps_of(request, before.kl, after.kl)
    _give_name(request, work, steps)
    return Recovered(
        path=request.output,
        recipe=words_of(steps),
        tokens=trained_tokens,
        kl_before=before.kl,
        kl_after=after.kl,
        perplexity_teacher=before.teacher_perplexity,
        perplexity_before=before.perplexity,
        perplexity_after=after.perplexity,
        seconds=time.monotonic() - begun,
        peak_resident_bytes=peak_resident_bytes(),
    )


def _open_workspace(request: Recover) -> Path:
    """What an earlier run of the same request left is kept, anything else removed."""
    work, mark = workspace(request.output), {"fingerprint": fingerprint(request)}
    with contextlib.suppress(OSError, ValueError):
        if read_json(work / _REQUEST) == mark:
            return work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_atomic(work / _REQUEST, json.dumps(mark).encode())
    return work


def _before(request: Recover, ready: Ready, file: Path, report: Report, stop: ShouldStop) -> Distance:
    """Measured once; an interrupted job reads it again."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Distance(**read_json(file))
    distance = _measure(request, ready.student, ready, report, stop)
    write_atomic(file, json.dumps(dataclasses.asdict(distance)).encode())
    return distance


def _after(request: Recover, ready: Ready, folder: Path, report: Report, stop: ShouldStop) -> Distance:
    """The distance of the folder as it was written, rounded as its files are."""
    return _measure(request, open_model(folder), ready, report, stop)


def _measure(request: Recover, student: LanguageModel, ready: Ready, report: Report, stop: ShouldStop) -> Distance:
    """Measure on the grid where the training is for it: then the Q4_0 file is what counts."""
    with four_bit(student) if request.quantization_aware else contextlib.nullcontext():
        return measure(student, ready.teacher, ready.texts.held_out, report, stop)


def _train(request: Recover, need: Need, ready: Ready, work: Path, report: Report, stop: ShouldStop) -> int:
    """Train, and write the result into the work folder."""
    training = ready.make_trainable(request, need)
    trainer = Trainer(ready.student, ready.teacher, training, request, need.way.micro)
    position = trainer.run(ready.texts.training, work / _STATE, report, stop)
    write_folder(request.model, work / _RESULT, training, stop)
    return position.step * request.batch_windows * request.context_tokens


def _give_name(request: Recover, work: Path, steps: Steps) -> None:
    """Note where it came from, then rename: the moment at which it is there."""
    result = work / _RESULT
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    parent = Path(os.path.relpath(request.model.resolve(), request.output.resolve())).as_posix()
    rows = {
        file.name: FileOrigin(
            sha256_of(file, lambda _count: None),
            file.stat().st_size,
            date=now,
            parent=parent,
            steps=steps,
        )
        for file in weight_files(result)
    }
    write_manifest(result, Manifest(rows))
    if request.output.exists():
        raise StorageError(f"“{request.output.name}” is there by now.", "Delete it, or choose another name.")
    result.rename(request.output)
    shutil.rmtree(work, ignore_errors=True)


# What a recovery would take on this machine: memory from the headers, time from steps that are really made.


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
