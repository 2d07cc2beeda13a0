"""What can be known of a pruning before its first byte is written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
from pathlib import Path

from app.errors import ModelFileError, PruneError, StorageError
from app.library.safetensors import weight_files
from app.operation import Notice, Report
from app.prune.block_model import BlockModel
from app.prune.memory import memory_bytes
from app.prune.messages import SPARSE, Prune
from app.prune.process_memory import PROGRAM_BYTES
from app.quantize.calibration import CALIBRATION_TEXT, read_text
from app.system.disk import require_room
from app.system.hardware import available_memory_bytes
from app.units import percent, size_text

_VERSION = 1
"""Raised when what is done changes: what an older version left is not gone on with."""
_NOT_THE_RESULT = ("source", "output", "rewind", "text", "threads")


def check_request(request: Prune, work: Path) -> None:
    """Raises PruneError, StorageError, ModelFileError. `work` is what a run leaves that is killed at its very end."""
    if request.output.exists():
        shutil.rmtree(work, ignore_errors=True)
        raise StorageError(f"“{request.output.name}” is there already.", "Delete it, or choose another name.")
    for folder in (request.source, request.rewind):
        if folder is not None and not folder.is_dir():
            what = "a file; pruning starts from a Hugging Face folder" if folder.exists() else "not there"
            raise ModelFileError(
                f"“{folder}” is {what}.", "Choose the folder of the original model, downloaded with its weights."
            )
    parent = request.output.parent
    if not parent.is_dir():
        raise StorageError(f"There is no folder {parent}.", "Make it, or choose another one.")
    if not os.access(parent, os.W_OK):
        raise StorageError(f"The folder {parent} may not be written to.", "Choose another one for the result.")
    _check_amount(request.amount)
    if request.pattern and request.method not in SPARSE:
        raise PruneError(
            f"A pattern of zeros ({request.pattern}) is for the methods that set zeros; this one takes parts away.",
            "Leave the pattern out, or take Wanda or SparseGPT.",
        )


def check_room(request: Prune, model: BlockModel, report: Report) -> None:
    """Say how much memory it takes. Raises PruneError where there is less, DiskFullError for the disk."""
    memory = memory_bytes(request, model.tensors.values(), int(model.windows.numel()))
    available = available_memory_bytes()
    whole = PROGRAM_BYTES + memory  # as a plan tells it
    if memory > available:  # what is free now is free beside the libraries, which are loaded by now
        raise PruneError(
            f"Pruning takes {size_text(whole)} of memory; {size_text(available + PROGRAM_BYTES)} can be had.",
            "Close other programs, take fewer or shorter windows of text, or a method that needs less.",
        )
    report(Notice(f"Pruning takes up to {size_text(whole)} of memory."))
    needed = sum(tensor.size_bytes for tensor in model.tensors.values()) + 2 * _activation_bytes(model)
    hint = "Free some space, or choose a folder on a larger disk."
    require_room("It takes up to", needed, request.output.parent, hint)


def check_same_shapes(model: BlockModel, early: BlockModel) -> None:
    """Raises PruneError where `early` is not the same model at another time."""
    shapes, others = ({name: t.shape for name, t in m.tensors.items()} for m in (model, early))
    if shapes != others:
        raise PruneError(
            f"“{early.folder.name}” has other tensors than “{model.folder.name}”: it is not the same model, earlier.",
            "Choose a folder that was saved while this model was trained.",
        )


def key_of(request: Prune) -> str:
    """Says whether two requests make the same folder of the same files."""
    said = {k: v for k, v in dataclasses.asdict(request).items() if k not in _NOT_THE_RESULT}
    files = [_stamps(folder) for folder in (request.source, request.rewind) if folder is not None]
    text = read_text(request.text or CALIBRATION_TEXT)
    return hashlib.sha256(json.dumps([_VERSION, said, files]).encode() + text).hexdigest()


def _check_amount(amount: float) -> None:
    if math.isnan(amount) or not 0.0 < amount < 1.0:
        said = "not a number" if math.isnan(amount) else percent(amount)
        raise PruneError(
            f"The share to take away is {said}; it must be more than nothing and less than everything.",
            "A quarter is 0.25.",
        )


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    files = [*weight_files(folder), *(file for file in folder.glob("*.json") if file.name != "manifest.json")]
    return sorted((str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _activation_bytes(model: BlockModel) -> int:
    return int(model.windows.numel()) * int(model.config.hidden_size) * 4
