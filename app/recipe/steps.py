"""Pruning and recovery as the child and a recipe run them: how fast each went is noted for later plans, and a recovery
that wins nothing back need not end what comes after it.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from app.convert.configuration import read_config
from app.errors import ModelFileError, NotBetterError, StorageError
from app.library.manifest import FileOrigin, folder_origin, lineage_of, read_manifest, write_manifest
from app.library.provenance import Steps, steps_after
from app.library.safetensors import facts_of, weight_files
from app.library.verify import sha256_of
from app.operation import Context, Notice, Report
from app.prune.messages import Prune, Pruned
from app.recipe.effort import Work, prune_multiplications, recover_multiplications, remember_pace
from app.recipe.messages import FinishModel
from app.recipe.words import shape_of
from app.recover.messages import PlanRecovery, Recover, Recovered, RecoveryPlanned
from app.system.frozen import require_torch
from app.system.hardware import peak_resident_bytes


def prune_step(request: Prune, context: Context) -> Pruned:
    """Prune, as `prune` does. Raises AppError where PyTorch is not installed."""
    require_torch()
    from app.prune.prune import prune

    begun, goes_on = time.monotonic(), _work(request.output).exists()
    result = prune(request, context)
    if not goes_on:
        config, parameters = read_config(request.source), facts_of(request.source).parameters
        count = prune_multiplications(request, config, shape_of(request.source), parameters)
        remember_pace(context.paths.effort, Work.PRUNE, count, time.monotonic() - begun)
    return result


def recover_step(request: Recover, context: Context) -> Recovered:
    """Recover, as `recover` does, but for `request.or_keep`: then the divergence may be afterwards what it was before.

    Raises AppError where PyTorch is not installed.
    """
    require_torch()
    from app.recover.recover import recover

    begun, goes_on = time.monotonic(), _work(request.output).exists()
    try:
        result = recover(request, context)
    except NotBetterError as error:
        if not request.or_keep or request.model.samefile(request.teacher):
            raise
        result = _kept(request, error, begun, context.report)
    if not goes_on:
        parameters, teacher = (facts_of(folder).parameters for folder in (request.model, request.teacher))
        count = recover_multiplications(request, parameters, teacher)
        remember_pace(context.paths.effort, Work.RECOVER, count, time.monotonic() - begun)
    return result


def plan_recovery_step(request: PlanRecovery, context: Context) -> RecoveryPlanned:
    """Plan, as `plan_recovery` does. Raises AppError where PyTorch is not installed."""
    require_torch()
    from app.recover.recover import plan_recovery

    return plan_recovery(request, context)


def _kept(request: Recover, error: NotBetterError, begun: float, report: Report) -> Recovered:
    """The model as it was, under the new name."""
    _copy(request.model, request.output)
    report(Notice(f"{error.sentence.rpartition(':')[0]}: it goes on with the model as it was."))
    teacher, model = error.perplexities
    seconds = time.monotonic() - begun
    return Recovered(request.output, "", 0, error.kl, error.kl, teacher, model, model, seconds, peak_resident_bytes())


def _copy(model: Path, output: Path) -> None:
    """Whole or not at all; a file is only linked where the disk can do that."""
    part = _work(output)
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(model, part, copy_function=_link)
        part.rename(output)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(
            f"“{output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        return shutil.copy2(source, target)
    return target


def _work(output: Path) -> Path:
    """Where both operations keep what they can go on from."""
    return output.with_name(f".{output.name}.work")


# The end of a step that makes a folder: note what it was made of and how, and remove what only led to it.


def finish_model(request: FinishModel, _context: Context) -> None:
    """May be done again at any time. Raises ModelFileError where the folder is not there, StorageError, OSError."""
    files = weight_files(request.model)
    if not files:
        raise ModelFileError(f"“{request.model.name}” is not there.", "Run the recipe again.")
    source = lineage_of(request.source)
    steps = (*source.steps, *_steps((*request.between, request.model), source.steps))
    parent = source.parent_from(request.model)
    manifest = read_manifest(request.model)
    for file in files:
        known = _origin(request.model, file)
        made = dataclasses.replace(known, parent=parent, steps=steps, digest=request.digest)
        manifest = manifest.with_file(file.name, made)
    write_manifest(request.model, manifest)
    for folder in request.between:
        shutil.rmtree(folder, ignore_errors=True)  # its name is hidden, and the same recipe removes it when run again


def _steps(folders: Iterable[Path], before: Steps) -> Steps:
    """What each folder says of itself, one after the other; a folder may have taken up what came before it."""
    done: Steps = ()
    for folder in folders:
        origin = folder_origin(folder)
        own = origin.steps if origin is not None else ()
        after = steps_after(own, before)
        own = own if after is None else after
        done = (*done, *own) if steps_after(own, done) is None else own
    return done


def _origin(folder: Path, file: Path) -> FileOrigin:
    known = read_manifest(folder).files.get(file.name)
    if known is not None and known.size_bytes == file.stat().st_size:
        return known
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return FileOrigin(sha256_of(file, lambda _count: None), file.stat().st_size, date=now)
