"""Conversion of a Hugging Face folder to GGUF: all checks come first, then one stretch of a tensor is in memory at a
time.
"""

from __future__ import annotations

import os
import re
import struct
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np

from app.convert.checkpoint import open_checkpoint
from app.convert.configuration import Config, read_config
from app.convert.families import add_common_keys, add_rope, family_of
from app.convert.messages import Convert, Converted
from app.convert.tensors import TYPES, OutputTensor, plan_tensors
from app.convert.vocabulary import add_vocabulary
from app.errors import Cancelled, ConversionError, StorageError
from app.library.gguf_reader import printable
from app.operation import Context, Notice, Progress, Report, ShouldStop, Stage
from app.system.files import PART, require_room, taken

_FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """The header, not yet written, and the tensors in the order of the file."""

    writer: gguf.GGUFWriter
    tensors: list[OutputTensor]
    notice: str
    """What the user should know, though nothing failed."""

    @property
    def data_bytes(self) -> int:
        return sum(_padded(tensor.size_bytes) for tensor in self.tensors)


def convert(request: Convert, context: Context) -> Converted:
    """Write `request.folder` as the GGUF file `request.output`, by way of `*.part`.

    Raises ConversionError, StorageError, DiskFullError, and Cancelled after a stop; no file is left then. An output
    that exists is not overwritten.
    """
    plan = _plan(request.folder, request.type)
    _check_output(request.output, plan.data_bytes)
    if plan.notice:
        context.report(Notice(plan.notice))
    part = request.output.with_name(request.output.name + PART)
    try:
        with taken(request.output):
            size = _write(plan, part, context.report, context.stop)
            part.replace(request.output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error
    return Converted(request.output, request.type, len(plan.tensors), size)


def _write(plan: _Plan, part: Path, report: Report, stop: ShouldStop) -> int:
    """Write the file; returns its size. The part is removed where that does not end well."""
    try:
        with part.open("wb") as file:
            _write_header(plan.writer, part)
            file.seek(0, os.SEEK_END)
            _write_tensors(file, plan, report, stop)
            file.flush()
            os.fsync(file.fileno())
        return part.stat().st_size
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check(folder: Path) -> None:
    """Raise ConversionError where `convert` would. Headers and tokenizer are read, weights are not."""
    _plan(folder, "bf16")


def write_header(folder: Path, output: Path, type: str) -> None:
    """Write the header of the converted file and, in place of its tensors, a hole of their size: for exact sizes and
    memory.

    The safetensors of `folder` may be sparse stubs themselves. Raises ConversionError, OSError.
    """
    plan = _plan(folder, type)
    _write_header(plan.writer, output)
    os.truncate(output, output.stat().st_size + plan.data_bytes)


def _plan(folder: Path, kind: str) -> _Plan:
    if kind not in TYPES:
        raise ConversionError(f"“{kind}” is not a type to convert to.", f"Take one of {', '.join(TYPES)}.")
    try:
        return _plan_of_strangers(folder, kind)
    except _UNEXPECTED as error:  # the files are a stranger's, and JSON holds anything anywhere
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConversionError(
            f"config.json or the tokenizer of {folder.name} holds what cannot be there "
            f"({printable(str(error), 80)}, at {Path(place.filename).stem}:{place.lineno}).",
            "Download the folder again, or look for the model's GGUF files.",
        ) from error


_UNEXPECTED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, struct.error)


def _plan_of_strangers(folder: Path, kind: str) -> _Plan:
    config = read_config(folder)
    family = family_of(config)
    tensors = plan_tensors(open_checkpoint(folder), config, family, TYPES[kind])
    writer = gguf.GGUFWriter(None, gguf.MODEL_ARCH_NAMES[family.architecture])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(_name(folder, config))
    add_common_keys(writer, config, family)
    extra = add_rope(writer, config, family)
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    notice = add_vocabulary(writer, folder, config, space_prefix=family.space_prefix)
    tensors += [
        OutputTensor(name, values.shape, gguf.GGMLQuantizationType.F32, constant=values)
        for name, values in extra.items()
    ]
    for tensor in tensors:
        # The shape is given in elements, with a dtype that `gguf` does not take for bytes; the type stands beside it.
        writer.add_tensor_info(tensor.name, tensor.shape, _NOT_BYTES, tensor.size_bytes, tensor.type)
    return _Plan(writer, tensors, notice)


_NOT_BYTES = np.dtype("float32")
"""Dtype that tells `add_tensor_info` that the shape counts elements; the real type is passed beside it."""


def _name(folder: Path, config: Config) -> str:
    given = str(config.get("_name_or_path", default="")).rstrip("/").rpartition("/")[2]
    name = given or folder.resolve().name
    if (folder / "tokenizer.model").is_file():
        return name
    # llama.cpp takes a model whose name has "phi3" in it for one with a SentencePiece vocabulary, and stops when it
    # does not find that vocabulary's marks.
    return re.sub("phi-?3", "Phi 3", name, flags=re.IGNORECASE)


def _check_output(output: Path, data_bytes: int) -> None:
    if output.exists():
        raise StorageError(f"“{output.name}” is there already.", "Delete it or choose another name.")
    if not output.parent.is_dir():
        raise StorageError(f"There is no folder {output.parent}.", "Make it, or choose another one.")
    hint = "Free some space, or choose a folder on a larger disk."
    require_room("The converted file takes", data_bytes, output.parent, hint)


def _write_header(writer: gguf.GGUFWriter, path: Path) -> None:
    """Write the header, the keys and the tensor list, padded to where the first tensor begins."""
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for file in writer.fout or ():
        writer.write_padding(file, file.tell())
    writer.close()


def _write_tensors(file: BinaryIO, plan: _Plan, report: Report, stop: ShouldStop) -> None:
    total = len(plan.tensors)
    whole, done, start = plan.data_bytes, 0, time.monotonic()
    for number, tensor in enumerate(plan.tensors):
        for piece in tensor.data():
            if stop():
                raise Cancelled
            file.write(piece)
        file.write(bytes(_padded(tensor.size_bytes) - tensor.size_bytes))
        done += _padded(tensor.size_bytes)
        left = (time.monotonic() - start) * (whole - done) / max(done, 1)
        report(Progress(Stage.CONVERT, number + 1, total, left))


def _padded(size: int) -> int:
    return int(gguf.GGUFWriter.ggml_pad(size, gguf.GGUF_DEFAULT_ALIGNMENT))
