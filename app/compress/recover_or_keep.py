"""Recovery as a step of a recipe: where it wins nothing back, the work goes on with the model as it was."""

from __future__ import annotations

import os
import shutil
import time

from app.errors import NotBetterError, StorageError
from app.events import Notice, Report, ShouldStop
from app.hardware import peak_resident_bytes
from app.pruning import Recover, Recovered


def recover_or_keep(request: Recover, report: Report, stop: ShouldStop) -> Recovered:
    """As `recover`, but for `request.or_keep`. Then `kl_after` is `kl_before`. Raises what `recover` raises."""
    from app.compress.recover.recover import recover

    begun = time.monotonic()
    try:
        return recover(request, report, stop)
    except NotBetterError as error:
        if not request.or_keep or request.model.samefile(request.teacher):
            raise
        _copy(request)
        report(Notice(f"{error.sentence.rpartition(':')[0]}: the recipe goes on with the model as it was."))
        teacher, model = error.perplexities
        seconds = time.monotonic() - begun
        return Recovered(
            request.output, "", 0, error.kl, error.kl, teacher, model, model, seconds, peak_resident_bytes()
        )


def _copy(request: Recover) -> None:
    """Whole or not at all; a file is only linked where the disk can do that."""
    part = request.output.with_name(f".{request.output.name}.work")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(request.model, part, copy_function=_link)
        part.rename(request.output)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
        return target
    except OSError:
        return shutil.copy2(source, target)
