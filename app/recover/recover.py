"""The operation: from a pruned folder and the model it was cut from to a folder that answers more like it, or nothing.

check -> load -> [the teacher writes] -> read held-out text -> train -> write -> read held-out text -> rename. All on
the way lies in a hidden work folder beside the output; whoever runs the same request again goes on from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
import json
import os
import shutil
import time
from pathlib import Path

from app.errors import NotBetterError, RecoverError, StorageError
from app.library.manifest import FileOrigin, Manifest, write_manifest
from app.library.provenance import Steps, words_of
from app.library.safetensors import weight_files
from app.library.verify import sha256_of
from app.operation import Context, Report, ShouldStop
from app.recover.language_model import Distance, LanguageModel, four_bit, measure, open_model
from app.recover.loading import Ready, check, load, plan_memory, threads
from app.recover.memory import Need
from app.recover.messages import Recover, Recovered
from app.recover.texts import write_text
from app.recover.training import Trainer
from app.recover.writing import check_room, fingerprint, steps_of, workspace, write_folder
from app.system.files import read_json, write_atomic
from app.system.hardware import peak_resident_bytes

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
