"""Which weights matter: an importance matrix, collected by the engine itself while it reads a text.

What is collected is the mean square of each input column of each matrix of the layers, the diagonal of what GPTQ calls
the Hessian; llama.cpp's quantizers weigh the rounding errors by it (llama.cpp PR 4861). Windows, first token and file
are those of llama-imatrix. numpy and the engine are imported when they are used: the window imports this module too.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app import machine
from app.errors import AppError, Cancelled, LoadError, ModelFileError, QuantizeError, StorageError
from app.events import ImportanceCollected, MachineSpeed, Notice, Progress, Report, ShouldStop, Stage
from app.fit.judgement import ReadProfile
from app.fit.speed import predicted_ms
from app.hardware import physical_cores
from app.library.gguf_file import GgufHeader, read_header
from app.paths import RESOURCES, default_paths
from app.requests import CollectImportance, LoadModel

if TYPE_CHECKING:
    from app.compress.importance_file import Importance
    from app.engine.llama import Model

CALIBRATION_TEXT = RESOURCES / "texts" / "calibration.txt"
"""The bundled text: several languages, code and conversations."""
_MAX_TEXT_BYTES = 64 << 20
_LEAST_WINDOW = 32
_PREFILL_GAIN = 3.5
"""How much less time a token takes when it is read with hundreds of others than when it is answered. Measured on 2
cores: 2.3 to 4.3 for five models of 21M to 1B, from Q4_0 to F16. Only for the estimate before the first window."""


def collect_importance(request: CollectImportance, report: Report, stop: ShouldStop) -> ImportanceCollected:
    """Read the text in windows and write the importance matrix to `request.output`.

    Raises AppError (no such text, too short a text, output exists, a model that cannot be loaded) and Cancelled;
    then nothing is left behind.
    """
    from app.compress.importance_file import Collector, write_importance
    from app.engine.activations import ActivationReader

    text_path = request.text or CALIBRATION_TEXT
    _check_output(request.output)
    data = _read_text(text_path)
    header = read_header(request.model)
    if header.chat_problem:
        raise ModelFileError(header.chat_problem)
    collector = Collector()
    with _loaded(request, header, report, stop) as model:
        windows = _windows(model, data.decode("utf-8"), request, text_path)
        reader = ActivationReader(model, len(windows[0]), _threads(request, header), collector, stop)
        try:
            _read_windows(reader.read, windows, report)
        finally:
            reader.close()
    if unused := collector.unused_experts():
        report(Notice(f"{unused:,} expert matrices were never used by this text; they are rounded without weights."))
    about = {"bantam.text_sha256": hashlib.sha256(data).hexdigest()}
    tokens = len(windows[0])
    write_importance(request.output, collector.entries, text_path.name, len(windows), tokens, about)
    return ImportanceCollected(request.output, len(collector.entries), len(windows) * tokens)


def read_importance(path: Path) -> Importance:
    """Mean squares by weight: a flat f32 array over experts and columns, as llama-quantize passes them to llama.cpp.

    Reads llama-imatrix's GGUF files and its older `.dat`. Raises QuantizeError.
    """
    from app.compress.importance_file import read

    return read(path)


def check_importance(importance: Importance, shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Raise QuantizeError where the matrix is of another model: of other widths, of more layers, or of nothing here.

    `shapes` are the model's tensors in ggml's order (columns first); `name` is the file's, for the sentence. Single
    entries may be missing or too many: not every tool collects the output matrix, or layers for drafts.
    """
    problem = ""
    layers = 1 + max((_layer(weight) for weight in shapes), default=-1)
    for weight, values in importance.items():
        shape = shapes.get(weight, ())
        columns = math.prod((*shape[:1], *shape[2:]))
        if len(shape) > 1 and values.size != columns:
            problem = f"{weight} has {values.size:,} columns there and {columns:,} here"
        elif _layer(weight) >= layers:
            problem = f"it has {weight}, and this model has {layers} layers"
        if problem:
            break
    matrices = [weight for weight, shape in shapes.items() if _layer(weight) >= 0 and len(shape) > 1]
    if not problem and 2 * sum(weight in importance for weight in matrices) < len(matrices):
        problem = "most matrices of this model are not in it"
    if problem:
        raise QuantizeError(
            f"The importance matrix {name} was made for another model: {problem}.",
            "Collect a new one from this model.",
        )


def _layer(weight: str) -> int:
    """Number of the layer; -1 for a tensor of none."""
    parts = weight.split(".")
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 2 and parts[1].isdecimal() else -1


def estimate_seconds(model: GgufHeader, chunks: int, machine: MachineSpeed, context_tokens: int = 512) -> float:
    """How long `chunks` windows will take, before the first is read: right within a factor of two."""
    token_ms = predicted_ms(ReadProfile.of_header(model), 0, machine) / _PREFILL_GAIN
    return chunks * context_tokens * token_ms / 1000


def estimate_chunks(text: Path | None = None, context_tokens: int = 512) -> int:
    """About how many windows a text has, by its size: four bytes a token. 0 where it cannot be read."""
    try:
        return (text or CALIBRATION_TEXT).stat().st_size // (4 * context_tokens)
    except OSError:
        return 0


def _check_output(output: Path) -> None:
    if output.exists():
        raise StorageError(f"{output.name} is there already.", "Choose another name, or delete it first.")
    if not output.parent.is_dir():
        raise StorageError(f"There is no folder {output.parent}.", "Choose one that exists.")


def _read_text(path: Path) -> bytes:
    """Raises AppError where there is no text."""
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise AppError(
                f"The text {path.name} is larger than {_MAX_TEXT_BYTES >> 20} MiB.",
                "A few hundred kilobytes are enough: more text makes no better matrix.",
            )
        data = path.read_bytes()
        data.decode("utf-8")
    except OSError as error:
        raise StorageError(f"The text {path.name} could not be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise AppError(f"{path.name} is not a text in UTF-8.", "Save it as UTF-8 in an editor.") from error
    return data


def _threads(request: CollectImportance, header: GgufHeader) -> int:
    size_class = machine.size_class(header.tensor_bytes)
    measured = machine.thread_counts(default_paths().machine, size_class)
    return request.threads or (measured.prefill if measured else physical_cores())


@contextmanager
def _loaded(request: CollectImportance, header: GgufHeader, report: Report, stop: ShouldStop) -> Iterator[Model]:
    """The model's weights, once they are known to fit. Raises LoadError, Cancelled."""
    from app.engine.llama import LOG, Model, ModelOptions
    from app.fit.memory import memory_need, too_large

    load = LoadModel(request.model, request.context_tokens)
    if question := too_large(load, memory_need(load)):
        raise LoadError(question.sentence, "Close other programs, or calibrate a smaller type of the same model.")

    def on_progress(share: float) -> bool:
        report(Progress(Stage.LOAD, round(share * 1000), 1000))
        return not stop()

    # The fast kernels can kill the process on some machines: only where this type has run with them.
    known = default_paths().machine
    repack = not machine.needs_safe_mode(known) and header.quantization in machine.verified_file_types(known)
    LOG.clear()
    try:
        model = Model(request.model, ModelOptions(repack=repack), on_progress)
    except LoadError:
        if stop():
            raise Cancelled from None
        raise
    try:
        yield model
    finally:
        model.close()


def _windows(model: Model, text: str, request: CollectImportance, path: Path) -> list[list[int]]:
    """Whole windows of the text, each with BOS in place of its first token where the model wants one.

    Raises AppError where the text is shorter than one.
    """
    from app.engine.llama import C

    trained = model.trained_context_tokens
    length = max(_LEAST_WINDOW, min(request.context_tokens, trained or request.context_tokens))
    tokens = model.tokenize(text, add_bos=True)
    count = len(tokens) // length
    if count == 0:
        raise AppError(
            f"The text {path.name} is too short: it has {len(tokens):,} tokens, and one window takes {length:,}.",
            "Take a longer text: 50 windows or more are good.",
        )
    if request.chunks:
        count = min(count, request.chunks)
    windows = [tokens[i * length : (i + 1) * length] for i in range(count)]
    if C.llama_vocab_get_add_bos(model.vocabulary):
        for window in windows:
            window[0] = model.bos
    return windows


def _read_windows(read: Callable[[list[int]], None], windows: list[list[int]], report: Report) -> None:
    start = time.monotonic()
    report(Progress(Stage.CALIBRATE, 0, len(windows)))
    for done, window in enumerate(windows, 1):
        read(window)
        left_s = (time.monotonic() - start) / done * (len(windows) - done)
        report(Progress(Stage.CALIBRATE, done, len(windows), left_s))
