"""The recovered folder: a copy of the pruned one, byte for byte, in which the trained tensors are overwritten in place.

So names, order, dtypes, shards and whatever lies beside the weights stay as they were, for any layout of a model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from app.convert.checkpoint import SourceTensor, open_checkpoint
from app.errors import Cancelled, RecoverError
from app.library.manifest import NAME as MANIFEST
from app.library.manifest import folder_origin
from app.library.provenance import Recovery, Steps
from app.library.safetensors import weight_files
from app.operation import ShouldStop
from app.recover.adapters import Training
from app.recover.language_model import DTYPES
from app.recover.messages import BUNDLED_TEXT, TEACHER_TEXT, Recover
from app.system.files import require_room

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
