"""The way from a GGUF file or a Hugging Face folder to a smaller GGUF, checked before and after, whole or not at all.

folder -> [convert] -> [importance matrix] -> quantize -> check -> rename -> manifest. Every file on the way has a name
that follows from the request (`part_paths`): llama.cpp cannot be stopped inside a tensor, so a cancel may be the end of
the process, and whoever ended it removes them.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.convert.messages import Convert
from app.errors import Cancelled, ModelFileError, QuantizeError, StorageError
from app.library.gguf_file import read_header
from app.library.manifest import FileOrigin, lineage_of, note_origin
from app.library.tensor_types import NEEDS_IMPORTANCE
from app.library.verify import sha256_of
from app.operation import Context, Progress, Report, ShouldStop, Stage
from app.quantize.messages import CollectImportance, Quantize, Quantized
from app.quantize.outputs import part_paths, step_of, workspace
from app.system.files import require_room, taken
from app.system.hardware import available_memory_bytes, physical_cores
from app.units import size_text

if TYPE_CHECKING:
    from app.quantize.native import Options

BEST_TYPES = ("Q4_0", "Q4_K_M")


def quantize(request: Quantize, context: Context) -> Quantized:
    """Make `request.output`. Raises QuantizeError, ConversionError, ModelFileError, StorageError, DiskFullError,
    Cancelled; then nothing is left, and what was there is as it was.
    """
    try:
        _check(request)
        with taken(request.output):
            try:
                remove_parts(request, keep_first=True)
                return _finish(request, _make(request, context.report, context.stop), context.report, context.stop)
            finally:
                remove_parts(request)
    except OSError as error:
        raise StorageError(
            f"“{request.output.name}” could not be written: {error.strerror or error}.",
            "See that there is room on the disk and that the folder may be written to.",
        ) from error


def remove_parts(request: Quantize, *, keep_first: bool = False) -> None:
    """Remove what an earlier run left, and what this one does not need any more; not the part that is held, if so."""
    for path in part_paths(request)[1 if keep_first else 0 :]:
        if path.exists():  # on a disk that may only be read even the attempt fails
            path.unlink(missing_ok=True)


def _make(request: Quantize, report: Report, stop: ShouldStop) -> Path:
    """The finished file under its unfinished name."""
    part, *_ = part_paths(request)
    if request.best:
        from app.quantize.best.best_quantize import best_quantize

        best_quantize(request, part, workspace(request), report, stop)
        return part
    source = _converted(request, report, stop) if request.source.is_dir() else request.source
    options = _options(request, source, report, stop)
    _run_native(source, part, request.type, options, report, stop)
    if request.keep_intermediate and source != request.source:
        source.replace(request.output.with_name(f"{request.output.stem}-16bit.gguf"))
    return part


def _converted(request: Quantize, report: Report, stop: ShouldStop) -> Path:
    """The folder as a 16-bit GGUF."""
    from app.convert.conversion import convert

    source = part_paths(request)[2]
    return convert(Convert(request.source, source, "bf16"), Context(report=report, stop=stop)).path


def _options(request: Quantize, source: Path, report: Report, stop: ShouldStop) -> Options:
    """The importance matrix is read, or collected first."""
    from app.quantize.importance import check_importance, collect_importance, read_importance
    from app.quantize.native import Options

    matrix = request.importance
    threads = request.threads or physical_cores()
    if matrix is None and request.calibrate:
        matrix = part_paths(request)[4]
        collect_importance(
            CollectImportance(source, matrix, request.text, threads=request.threads), Context(report=report, stop=stop)
        )
    importance = None if matrix is None else read_importance(matrix)
    if importance is not None and matrix is not None:
        check_importance(importance, _shapes(source), matrix.name)
    return Options(
        importance=importance,
        overrides=request.overrides,
        output_type=request.output_type,
        embedding_type=request.embedding_type,
        threads=threads,
        requantize=request.requantize,
    )


def _run_native(source: Path, part: Path, type: str, options: Options, report: Report, stop: ShouldStop) -> None:
    """Time left is from the bytes of the tensors, of which a few are most."""
    from app.library.gguf_reader import read_raw
    from app.quantize.native import quantize_file

    with source.open("rb") as file:
        sizes = [t.size_bytes for t in read_raw(file, source.stat().st_size, lambda _key: False).tensors]
    whole, start = sum(sizes), time.monotonic()

    def on_tensor(begun: int, total: int) -> None:
        done = sum(sizes[:begun])
        left = (time.monotonic() - start) * (whole - done) / done if done else 0.0
        report(Progress(Stage.QUANTIZE, done * 1000 // max(whole, 1), 1000, left))

    if stop():
        raise Cancelled
    quantize_file(source, part, type, options, on_tensor)
    report(Progress(Stage.QUANTIZE, 1000, 1000))
    if stop():
        raise Cancelled


def _finish(request: Quantize, part: Path, report: Report, stop: ShouldStop) -> Quantized:
    """Check the header, hash, give it its name, note its origin. The rename is the moment at which it is there."""
    try:
        read_header(part)
    except ModelFileError as error:
        raise QuantizeError(f"What was made cannot be read again: {error.sentence}", "Try it once more.") from error
    size = part.stat().st_size
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    sha256 = sha256_of(part, _hash_progress(size, report, stop))
    if request.output.exists():
        raise _there(request.output)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder, lineage = request.output.parent, lineage_of(request.source)
    steps = lineage.then(step_of(request))
    origin = FileOrigin(sha256, size, date=now, parent=lineage.parent_from(folder), steps=steps)
    # The row first: without its file it says nothing to anybody, a file without its row has lost where it came from.
    note_origin(folder, request.output.name, origin)
    part.replace(request.output)
    return Quantized(request.output, request.type, origin.recipe, _size_of(request.source), size, sha256)


def _hash_progress(size: int, report: Report, stop: ShouldStop) -> Callable[[int], None]:
    done = 0

    def on_chunk(count: int) -> None:
        nonlocal done
        if stop():
            raise Cancelled
        done += count
        report(Progress(Stage.VERIFY, done * 1000 // max(size, 1), 1000))

    return on_chunk


def _check(request: Quantize) -> None:
    """Everything that can be known before the first byte is written."""
    from app.quantize.native import file_type

    file_type(request.type)
    if request.output.exists():
        raise _there(request.output)
    if not request.output.parent.is_dir():
        raise StorageError(f"There is no folder {request.output.parent}.", "Make it, or choose another one.")
    if not os.access(request.output.parent, os.W_OK):
        raise StorageError(f"The folder {request.output.parent} may not be written to.", "Choose another one.")
    if not request.source.exists():
        raise ModelFileError(f"“{request.source.name}” is not there.", "Download or add it again.")
    if request.best and request.type not in BEST_TYPES:
        raise QuantizeError(
            f"The best rounding makes {' or '.join(BEST_TYPES)}.", "Take one of them, or use an importance matrix."
        )
    if request.type in NEEDS_IMPORTANCE and not (request.importance or request.calibrate or request.best):
        raise QuantizeError(
            f"{request.type} is made with an importance matrix only: without one the model would be ruined.",
            "Let one be collected, or give one.",
        )
    if request.source.is_file():
        _check_source(request)
    _check_room(request)


def _check_source(request: Quantize) -> None:
    header = read_header(request.source)
    if not header.is_unquantized and (request.best or not request.requantize):
        raise QuantizeError(
            f"“{request.source.name}” is quantized already ({header.quantization}); its errors would be rounded again.",
            "Start from the model in 16 bits, or allow it to be quantized once more.",
        )


def _check_room(request: Quantize) -> None:
    """Disk: the result, and the 16-bit file on the way. Memory: llama.cpp's buffers."""
    from app.quantize.native import BUFFER_BYTES

    result, source = sizes(request)
    way = f", {size_text(source)} of them only while it works" if source else ""
    hint = "Free some space, or choose a folder on a larger disk."
    require_room("It takes", result + source, request.output.parent, hint, way)
    memory, available = 3 * BUFFER_BYTES, available_memory_bytes()
    if memory > available:
        raise QuantizeError(
            f"Quantizing takes up to {size_text(memory)} of memory; {size_text(available)} are free.",
            "Close other programs, or unload the model that is loaded.",
        )


def sizes(request: Quantize) -> tuple[int, int]:
    """Bytes of the result, exact but for an importance matrix's few keys, and of the file between (0: none)."""
    from app.convert.conversion import write_header
    from app.quantize.native import Options, planned

    options = Options(
        overrides=request.overrides,
        output_type=request.output_type,
        embedding_type=request.embedding_type,
        requantize=True,
    )
    if request.source.is_file():
        between = request.source.stat().st_size if request.best else 0  # a copy, in which scales are moved
        return _file_bytes(request.source, planned(request.source, request.type, options).data_bytes), between
    stub = part_paths(request)[1]
    try:
        write_header(request.source, stub, "bf16")
        result = _file_bytes(stub, planned(stub, request.type, options).data_bytes)
        return result, stub.stat().st_size
    finally:
        stub.unlink(missing_ok=True)


def _file_bytes(source: Path, data_bytes: int) -> int:
    """Quantizing keeps the header and replaces the tensors."""
    from app.library.gguf_reader import read_raw

    with source.open("rb") as file:
        return read_raw(file, source.stat().st_size, lambda _key: False).data_start + data_bytes


def _shapes(source: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors, columns first."""
    from app.library.gguf_reader import read_raw

    with source.open("rb") as file:
        return {t.name: t.shape for t in read_raw(file, source.stat().st_size, lambda _key: False).tensors}


def _size_of(source: Path) -> int:
    if source.is_file():
        return source.stat().st_size
    return sum(file.stat().st_size for file in source.glob("*.safetensors"))


def _there(output: Path) -> StorageError:
    return StorageError(f"“{output.name}” is there already.", "Delete it, or choose another name.")
